"""Encryption, shredding and evidence, as users meet them."""

from __future__ import annotations

import asyncio
import io
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.api.helpers import python

from agnt5 import (
    AsyncClient,
    Client,
    ConfigurationError,
    Context,
    EncryptionKeyError,
    HashChain,
    InvalidInputError,
    Keyring,
    Runtime,
    ShreddedError,
    SigningKey,
    WorkflowContext,
    export_runs,
    function,
    import_runs,
    rebuild_index,
    workflow,
)
from agnt5.events.stores.memory import MemoryLog
from agnt5.histories import read_histories
from agnt5.operating import Onlooker

RING = Keyring({"k1": bytes(range(32))})
KEY = SigningKey(bytes(range(32)))
MARKER = "Anna Karenina"


def define():
    @function
    async def greet(ctx: Context, name: str) -> str:
        if name.endswith("!"):
            raise ValueError(f"too loud for {name}")
        return f"Hello {name}"

    @workflow
    async def visit(ctx: WorkflowContext, name: str, ask: bool = False) -> dict[str, str]:
        greeting = await ctx.step(greet, name)
        if ask:
            greeting += await ctx.wait_for_user(f"May {name} come in?", assignees=[name])
        return {"greeting": greeting}


async def visit(client, user="anna", *, name=MARKER, **given):
    ask = given.pop("ask", False)
    options = {"component_type": "workflow", "user_id": user, "timeout": 15} | given
    return await client.run("visit", {"name": name, "ask": ask}, **options)


def path_of(store):
    return store.removeprefix("sqlite:///")


def bytes_of(store):
    path = Path(path_of(store))
    files = (path, path.with_name(path.name + "-wal"))
    return b"".join(file.read_bytes() for file in files if file.exists())


async def test_what_a_run_says_is_nowhere_in_the_file_and_everywhere_in_the_answers(file_store):
    define()
    async with Runtime(file_store, encryption=RING):
        client = AsyncClient()
        done = await visit(client, run_id="r1", metadata={"who": MARKER}, idempotency_key="i1")
        asked = await visit(client, run_id="r2", ask=True)
        failed = await visit(client, run_id="r3", name=MARKER + "!")
        assert asked.metadata["question"] == f"May {MARKER} come in?"
        await client.submit_user_response("r2", "Yes", actor=MARKER)
        answered = await client.get_result("r2")
        assert (done.output, done.metadata) == ({"greeting": f"Hello {MARKER}"}, {"who": MARKER})
        assert f"too loud for {MARKER}!" in failed.error.message
        assert answered.run_id == "r2"
        assert MARKER.encode() not in bytes_of(file_store)
        replies = [event async for event in client.events(actor=MARKER, topics="UserReplied")]
        assert {event.run_id for event in replies} == {"r2"}
        assert await client.count_events(actor=MARKER) == 1
        assert await client.count_events(actor="somebody else") == 0
        assert await client.count_events_by("run_id", actor=MARKER) == {"r2": 1}
        backward = [event async for event in client.events(actor=MARKER, backward=True)]
        assert {event.run_id for event in backward} == {"r2"}
        # The same key with the same input is the same run, silently.
        again = await visit(client, metadata={"who": MARKER}, idempotency_key="i1")
        assert again.run_id == "r1"
    async with Runtime(file_store, encryption=RING):
        assert (await AsyncClient().get_result("r1")).output == done.output
    with closing(sqlite3.connect(path_of(file_store))) as reader:
        rows = reader.execute("SELECT run_id, status, user_id, input, error FROM agnt5_runs")
        runs = {row[0]: row[1:] for row in rows}
        steps = reader.execute("SELECT DISTINCT name, status, attempts FROM agnt5_steps").fetchall()
    assert {run: row[:2] for run, row in runs.items()} == {
        "r1": ("completed", "anna"),
        "r2": ("completed", "anna"),
        "r3": ("failed", "anna"),
    }
    assert all(row[2].startswith('{"encrypted":"d') for row in runs.values())
    assert runs["r3"][3].startswith('{"encrypted":"d')
    assert set(steps) == {("greet", "completed", 1), ("greet", "failed", 1)}


async def test_a_log_that_was_given_is_encrypted_too():
    define()
    log = MemoryLog()
    async with Runtime(log, encryption=RING):
        assert (await visit(AsyncClient(), run_id="r1")).output["greeting"] == f"Hello {MARKER}"
    assert all(MARKER.encode() not in fact.state for fact in log.read("r1"))
    with pytest.raises(EncryptionKeyError, match="AGNT5_ENCRYPTION_KEYS"):
        await Runtime(log).start()


async def test_keys_of_the_environment_are_taken_unless_others_are_given(file_store, monkeypatch):
    define()
    monkeypatch.setenv("AGNT5_ENCRYPTION_KEYS", f"k9:{Keyring.new_key()}")
    async with Runtime(file_store):
        await visit(AsyncClient(), run_id="r1")
    assert MARKER.encode() not in bytes_of(file_store)
    with pytest.raises(EncryptionKeyError, match="'k9'.*'k1'"):
        await Runtime(file_store, encryption=RING).start()
    async with Runtime(file_store):
        assert (await AsyncClient().get_result("r1")).output["greeting"] == f"Hello {MARKER}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"encryption": "a key"}, "Keyring"),
        ({"encryption": {"k1": b""}}, "Keyring"),
        ({"chain": "yes"}, "HashChain"),
        ({"chain": 1}, "HashChain"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_the_runtime_is_made(given, said):
    with pytest.raises(ConfigurationError, match=said):
        Runtime("memory://", **given)


async def test_a_chain_is_for_a_store_with_a_file():
    for store in ("memory://", MemoryLog()):
        with pytest.raises(ConfigurationError, match="chain"):
            await Runtime(store, chain=True).start()
    async with Runtime(MemoryLog()):
        with pytest.raises(ConfigurationError, match="memory"):
            await AsyncClient().verify_chain()
        with pytest.raises(ConfigurationError, match="not encrypted"):
            await AsyncClient().rotate_keys()
        with pytest.raises(ConfigurationError, match="not encrypted"):
            await AsyncClient().shred("anna")


# Forgetting a person


async def test_shredding_leaves_the_list_and_the_chain_and_no_payload(file_store):
    define()
    chain = HashChain(KEY, every=5)
    async with Runtime(file_store, encryption=RING, chain=chain, strict_idempotency=True):
        client = AsyncClient()
        await visit(client, run_id="a1", idempotency_key="i1")
        await visit(client, run_id="a2", name=MARKER + "!")
        bob = await visit(client, "bob", run_id="b1", name="Bob")
        done = await client.shred("anna")
        assert (done.runs, done.keys, done.scrubbed) == (("a1", "a2"), 1, True)
        assert done.facts_in_clear == 0
        assert (await client.shred("anna")).keys == 0
        assert {row.run_id for row in await client.list_runs()} == {"a1", "a2", "b1"}
        status = await client.get_status("a1")
        result, failed = await client.get_result("a1"), await client.get_result("a2")
        assert (status.status, result.status, failed.status) == ("completed", "completed", "failed")
        assert set(result.output) == {"shredded"}
        assert failed.error.code == "SHREDDED"
        assert MARKER not in repr([result, failed, await client.get_events("a1")])
        assert [e.event_type for e in await client.get_events("a2")][-1] == "run.failed"
        assert len([event async for event in client.events(user_id="anna")]) > 10
        for ask in (client.state_at, client.diff):
            with pytest.raises(ShreddedError) as caught:
                await (ask("a1", 1) if ask == client.state_at else ask("a1", 1, 2))
            assert caught.value.run_id == "a1"
        with pytest.raises(ShreddedError):
            (await client.history("a1")).state()
        assert (await client.get_result("b1")).output == bob.output
        # A known key names the run that there was, whatever it was asked with: nobody can tell.
        assert (await visit(client, name="Other", idempotency_key="i1")).run_id == "a1"
        # Whoever comes back begins anew.
        await visit(client, run_id="a3")
        assert (await client.get_result("a3")).output == {"greeting": f"Hello {MARKER}"}
        report = await client.verify_chain()
        assert (report.ok, report.trusted_heads) == (True, report.heads)
    # The index is built again from what is in clear.
    with closing(sqlite3.connect(path_of(file_store))) as reader:
        before = reader.execute("SELECT * FROM runs ORDER BY 1").fetchall()
    assert rebuild_index(file_store, encryption=RING) == 4
    with closing(sqlite3.connect(path_of(file_store))) as reader:
        assert reader.execute("SELECT * FROM runs ORDER BY 1").fetchall() == before


async def test_runs_that_have_not_ended_are_in_the_way_or_are_cancelled(file_store):
    define()
    async with Runtime(file_store, encryption=RING):
        client = AsyncClient()
        await visit(client, run_id="a1", ask=True)
        await visit(client, run_id="a2")
        with pytest.raises(InvalidInputError, match=r"1 runs.*a1.*Nothing was shredded"):
            await client.shred("anna")
        assert (await client.get_result("a2")).output == {"greeting": f"Hello {MARKER}"}
        await client.submit_user_response("a1", "Yes", actor=MARKER)
        await client.get_result("a1")
        await visit(client, run_id="a4", ask=True)
        done = await client.shred("anna", cancel=True)
        assert done.runs == ("a1", "a2", "a4")
        assert (await client.get_status("a4")).status == "cancelled"
        assert (await client.get_result("a2")).output.keys() == {"shredded"}
        for wrong in ("", 7, "x" * 600):
            with pytest.raises(InvalidInputError):
                await client.shred(wrong)


async def test_a_child_belongs_to_whom_its_parent_belongs(file_store):
    define()

    @workflow
    async def tour(ctx: WorkflowContext, name: str) -> str:
        return (await ctx.child("visit", name=name))["greeting"]

    async with Runtime(file_store, encryption=RING):
        client = AsyncClient()
        await client.run("tour", {"name": MARKER}, "workflow", user_id="anna", run_id="t1")
        done = await client.shred("anna")
        assert len(done.runs) == 2
        assert MARKER not in repr([await client.get_events(run) for run in done.runs])


async def test_what_is_older_than_the_encryption_is_told(file_store):
    define()
    async with Runtime(file_store):
        await visit(AsyncClient(), run_id="a1")
    async with Runtime(file_store, encryption=RING):
        client = AsyncClient()
        assert (await client.get_result("a1")).output["greeting"] == f"Hello {MARKER}"
        await visit(client, run_id="a2")
        done = await client.shred("anna")
        assert (done.runs, done.keys) == (("a1", "a2"), 1)
        assert done.facts_in_clear == len((await client.history("a1")).events) > 1
        assert (await client.get_result("a1")).output["greeting"] == f"Hello {MARKER}"


# Keys that change


async def test_rotation_while_runs_go_on(file_store):
    define()
    async with Runtime(file_store, encryption=RING):
        await visit(AsyncClient(), run_id="r1", ask=True)
    both = Keyring({"k2": bytes(32), "k1": bytes(range(32))})
    async with Runtime(file_store, encryption=both):
        assert await AsyncClient().rotate_keys() == 2
        await visit(AsyncClient(), "bob", run_id="r2")
    async with Runtime(file_store, encryption=Keyring({"k2": bytes(32)})):
        client = AsyncClient()
        await client.submit_user_response("r1", " and well", actor=MARKER)
        waited = asyncio.create_task(client.run("visit", {"name": "x"}, "workflow"))
        assert (await waited).status == "completed"
        async with asyncio.timeout(10):
            while (await client.get_status("r1")).status != "completed":
                await asyncio.sleep(0.01)
        assert (await client.get_result("r1")).output == {"greeting": f"Hello {MARKER} and well"}


# Out of the store and into another one


async def test_an_export_of_an_encrypted_store_needs_a_word(file_store, tmp_path):
    define()
    async with Runtime(file_store, encryption=RING):
        client = AsyncClient()
        await visit(client, run_id="a1")
        await visit(client, "bob", run_id="b1", name="Bob")
        with pytest.raises(InvalidInputError, match="payloads='plain'"):
            await client.export_runs(io.BytesIO())
        with pytest.raises(InvalidInputError, match="'plain' or 'sealed'"):
            await client.export_runs(io.BytesIO(), payloads="clear")
        plain, sealed = io.BytesIO(), io.BytesIO()
        await client.export_runs(plain, payloads="plain")
        await client.export_runs(sealed, payloads="sealed")
        assert MARKER.encode() in plain.getvalue()
        assert MARKER.encode() not in sealed.getvalue()
        await client.shred("anna")
        rest = io.BytesIO()
        counts = await client.export_runs(rest, payloads="plain")
        assert (counts.runs, counts.shredded) == (1, ("a1",))
        assert [history.run_id for history in read_histories(io.BytesIO(rest.getvalue()))] == ["b1"]
    with pytest.raises(InvalidInputError, match=r"line 2.*'a1'.*encrypted.*no key at hand"):
        read_histories(io.BytesIO(sealed.getvalue()))
    # Without keys it is written as it lies.
    outside = io.BytesIO()
    export_runs(outside, "b1", store=file_store)
    assert b"Bob" not in outside.getvalue()
    export_runs(outside := io.BytesIO(), "b1", store=file_store, encryption=RING, payloads="plain")
    assert b"Bob" in outside.getvalue()
    # Into another encrypted store, whose own keys encrypt it.
    other = f"sqlite:///{tmp_path}/other.db"
    ring = Keyring({"other": bytes(32)})
    plain.seek(0)
    assert import_runs(plain, store=other, encryption=ring).runs == 2
    assert MARKER.encode() not in (tmp_path / "other.db").read_bytes()
    async with Runtime(other, encryption=ring):
        assert (await AsyncClient().get_result("a1")).output["greeting"] == f"Hello {MARKER}"
        assert (await AsyncClient().shred("anna")).keys == 1


# Evidence


async def test_a_change_behind_the_back_is_found_and_named(file_store):
    define()
    async with Runtime(file_store, chain=HashChain(KEY)):
        client = AsyncClient()
        await visit(client, run_id="r1")
        await visit(client, run_id="r2")
        head = await client.sign_head()
        assert (await client.verify_chain(expected=head)).ok
        with closing(sqlite3.connect(path_of(file_store))) as writer:
            writer.execute(
                "UPDATE stored_events SET state=replace(state,'Anna','Emma') WHERE"
                " originator_id='r1' AND topic='RunCompleted'"
            )
            writer.commit()
        report = await client.verify_chain()
        assert [(p.kind, p.stream) for p in report.problems] == [("changed", "r1")]
        assert not (await client.verify_chain(SigningKey(bytes(32)).public)).ok


async def test_without_the_chain_a_report_says_that_there_is_none(file_store):
    define()
    async with Runtime(file_store):
        report = await AsyncClient().verify_chain()
        assert (report.begun_at, report.ok, report.problems) == (None, False, ())
        assert str(report) == "NOT WHOLE: there is no chain; Runtime(chain=...) begins one"


def test_blocking_clients_have_the_same(file_store, caplog):
    caplog.set_level(logging.DEBUG)
    program = """
import os
from agnt5 import Client, workflow
os.environ["AGNT5_ENCRYPTION_KEYS"] = "k1:" + "A" * 43 + "="

@workflow
async def hello(ctx, name: str) -> str:
    return "hello " + name

client = Client(store=os.environ["STORE"])
client.run("hello", {"name": "x"}, "workflow", user_id="anna", run_id="r1")
print(client.rotate_keys(), client.shred("anna").runs, client.verify_chain().ok)
"""
    said, trouble = python(program, env={"STORE": file_store}).communicate(timeout=30)
    assert trouble == ""
    assert said.strip() == "0 ('r1',) False"
    assert "AAAA" not in caplog.text
    with pytest.raises(EncryptionKeyError):
        Client(store=file_store).list_runs()


async def test_a_store_with_shredded_runs_is_sound_and_can_be_looked_at_without_keys(file_store):
    define()
    async with Runtime(file_store, encryption=RING, chain=True):
        client = AsyncClient()
        await visit(client, run_id="a1", idempotency_key="i1")
        await visit(client, "bob", run_id="b1", name="Bob", idempotency_key="i2")
        await client.shred("anna")
        assert str(await client.verify()).splitlines()[-1].startswith("sound: 2 runs")
    async with Onlooker(file_store) as looker:
        client = AsyncClient(runtime=looker)
        assert {row.run_id for row in await client.list_runs()} == {"a1", "b1"}
        assert (await client.verify_chain()).ok
        with pytest.raises(EncryptionKeyError, match="'b1'"):
            await client.get_result("b1")
    rebuild_index(file_store, encryption=RING)
    async with Runtime(file_store, encryption=RING, strict_idempotency=True):
        client = AsyncClient()
        assert (await client.verify()).ok
        assert (await visit(client, name="Other", idempotency_key="i1")).run_id == "a1"
        with pytest.raises(InvalidInputError, match="another input"):
            await visit(client, "bob", name="Other", idempotency_key="i2")


async def test_a_run_that_goes_on_as_another_and_long_payloads_are_encrypted_and_chained(
    file_store,
):
    long = MARKER * 10_000

    @workflow
    async def endless(ctx: WorkflowContext, text: str, left: int = 2) -> str:
        if left:
            ctx.continue_as_new(text=text, left=left - 1)
        return text

    async with Runtime(file_store, encryption=RING, chain=HashChain(KEY, every=2)):
        client = AsyncClient()
        await client.run("endless", {"text": long}, "workflow", user_id="anna", run_id="e1")
        async with asyncio.timeout(20):
            while len(runs := await client.list_runs()) < 3 or runs[0].status != "completed":
                await asyncio.sleep(0.01)
        assert MARKER.encode() not in bytes_of(file_store)
        assert (await client.get_result(runs[0].run_id)).output == long
        assert (await client.verify_chain()).ok
        assert (await client.verify()).ok
        done = await client.shred("anna")
        assert (len(done.runs), done.keys, done.facts_in_clear) == (3, 1, 0)
        assert (await client.verify_chain()).ok
        assert (await client.verify()).ok
        with closing(sqlite3.connect(path_of(file_store))) as writer:
            assert writer.execute("UPDATE blobs SET content=x'00' WHERE rowid=1").rowcount == 1
            writer.commit()
        report = await client.verify_chain()
        assert "changed" in {problem.kind for problem in report.problems}


async def test_a_shredded_run_takes_what_any_run_takes_that_has_ended(file_store, caplog):
    """To ask something of it nobody needs what it said."""
    define()
    async with Runtime(file_store, encryption=RING):
        client = AsyncClient()
        await visit(client, run_id="r1", name=MARKER)
        await client.shred("anna")
        assert (await client.cancel("r1", "late")).status == "completed"
        with pytest.raises(InvalidInputError, match="ended"):
            await client.signal("r1", "go")
        with pytest.raises(InvalidInputError, match="ended"):
            await client.pause("r1")
        with pytest.raises(InvalidInputError, match="waits for no answer"):
            await client.resume("r1", "yes")
        report = await client.bulk("cancel", dry_run=False)
        assert [each.result for each in report.items] == ["done"]
        with pytest.raises(ShreddedError):
            await client.fork("r1")
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
