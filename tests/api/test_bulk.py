"""One thing done to many runs: to which, to how many, and what is said of those that refuse."""

from __future__ import annotations

import pytest

from agnt5 import AsyncClient, Client, Keyring, Runtime, WorkflowContext, workflow
from agnt5.bulk import BulkReport
from agnt5.exceptions import InvalidInputError


@pytest.fixture(autouse=True)
def waits() -> None:
    @workflow
    async def waits(ctx: WorkflowContext, fails: bool = False) -> str:
        if fails and not mended:
            raise ValueError("as asked")
        return await ctx.wait_for_signal("go")

    mended.clear()


mended: list[bool] = []


async def statuses(client: AsyncClient) -> list[str]:
    return sorted(str(row.status) for row in await client.list_runs(limit=500))


async def test_nothing_is_done_unless_that_is_said(store):
    """Then it is done to all that are meant, and to nobody else."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        mine = [
            (await client.submit("waits", {}, "workflow", user_id="ada")).run_id for _ in range(3)
        ]
        other = (await client.submit("waits", {}, "workflow")).run_id
        dry = await client.bulk("pause", user_id="ada")
        assert (dry.dry_run, dry.done, dry.failed, dry.next) == (True, (), (), None)
        assert [each.run_id for each in dry.items] == sorted(mine, reverse=True)
        assert "paused" not in await statuses(client)
        report = await client.bulk("pause", user_id="ada", reason="so", dry_run=False)
        assert {each.run_id for each in report.done} == set(mine)
        assert await statuses(client) == ["paused"] * 3 + ["running"]
        assert (await client.bulk("resume", status="paused", dry_run=False)).failed == ()
        assert (await client.get_status(other)).status == "running"
        await client.bulk("cancel", component="waits", dry_run=False)
        for run_id in (*mine, other):
            assert (await client.wait_for_result(run_id, 10)).status == "cancelled"
        again = await client.bulk("retry", user_id="ada", dry_run=False)
        assert len({each.new_run_id for each in again.done}) == 3


async def test_one_that_refuses_is_told_and_stops_none(store):
    """In the order of the runs, the newest first."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        good = (await client.submit("waits", {}, "workflow")).run_id
        bad = await client.run("waits", {"fails": True}, "workflow")
        mended.append(True)
        report = await client.bulk("retry", component="waits", dry_run=False)
        assert [each.run_id for each in report.items] == [bad.run_id, good]
        assert [each.result for each in report.items] == ["done", "failed"]
        assert "not ended" in report.failed[0].error
        assert "done to 1 run, failed for 1" in str(report)
        await client.signal(report.done[0].new_run_id, "go", "on")
        assert (await client.wait_for_result(report.done[0].new_run_id, 10)).output == "on"


async def test_a_dry_run_says_who_would_refuse(store):
    """Each action, of a run that waits, one that has failed and one that stands still."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for run_id in ("c", "b"):
            await client.submit("waits", {}, "workflow", run_id=run_id)
        await client.run("waits", {"fails": True}, "workflow", run_id="a")
        await client.pause("b")
        there = await client.count_events()
        forked = [len((await client.history(run_id)).events) for run_id in "cba"]
        for action, further, willing in (
            ("cancel", {}, "cba"),
            ("pause", {}, "cb"),
            ("resume", {}, "b"),
            ("retry", {}, "a"),
            ("rerun", {}, "cba"),
            ("fork", {}, "cba"),
            (
                "fork",
                {"at": max(forked)},
                [r for r, n in zip("cba", forked, strict=True) if n == max(forked)],
            ),
        ):
            report = await client.bulk(action, **further)
            would = [each.run_id for each in report.items if each.result == "would"]
            assert (action, would) == (action, list(willing))
            assert [each.run_id for each in report.failed] == [r for r in "cba" if r not in would]
            assert all(each.error for each in report.failed)
            assert report.done == ()
        assert await client.count_events() == there
        told = str(await client.bulk("pause"))
        assert told.startswith("pause would be done to 2 runs, and refused by 1\n  a: run 'a' has")
        real = await client.bulk("pause", dry_run=False)
        assert [each.error for each in real.failed] == [told.partition("  a: ")[2]]


async def test_one_that_cannot_be_read_stops_none(file_store):
    """Its person was forgotten, or its events are damaged."""
    async with Runtime(file_store, encryption=Keyring({"k": Keyring.new_key()})) as runtime:
        client = AsyncClient(runtime=runtime)
        for name in ("ada", "eve"):
            await client.run("waits", {"fails": True}, "workflow", user_id=name, run_id=name)
        await client.shred("eve")
        report = await client.bulk("retry", status="failed", dry_run=False)
        assert [(each.run_id, each.result) for each in report.items] == [
            ("eve", "failed"),
            ("ada", "done"),
        ]
        assert "shredded" in report.failed[0].error


async def test_a_limit_is_a_place_to_go_on_from(store):
    """Each call does its part, and no run is done twice, though forks are newer runs."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        first = {(await client.submit("waits", {}, "workflow")).run_id for _ in range(5)}
        done: list[str] = []
        before, calls = None, 0
        while True:
            report = await client.bulk("fork", limit=2, before=before, dry_run=False)
            done += [each.run_id for each in report.done]
            calls += 1
            before = report.next
            if before is None:
                break
        assert (sorted(done), calls) == (sorted(first), 3)
        assert len(await statuses(client)) == 10


async def test_what_cannot_be_meant_is_refused(store):
    """Before anything is done."""
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("waits", {}, "workflow")).run_id
        for wrong in (
            {"action": "burn"},
            {"action": "cancel", "limit": 0},
            {"action": "cancel", "limit": True},
            {"action": "cancel", "at": 3},
            {"action": "cancel", "status": 7},
            {"action": "cancel", "reason": 7},
        ):
            with pytest.raises(InvalidInputError):
                await client.bulk(dry_run=False, **wrong)
        assert (await client.get_status(run_id)).status == "running"


def test_the_blocking_client_has_it_too():
    """The same report."""
    with Client(store="memory://") as client:
        run_id = client.submit("waits", {}, "workflow").run_id
        assert isinstance(client.bulk("pause", dry_run=False), BulkReport)
        assert client.get_status(run_id).status == "paused"
        client.bulk("cancel", dry_run=False)
        assert client.wait_for_result(run_id, 10).status == "cancelled"
