"""Workflows as classes: named, made anew for every run, their attributes restored on replay."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.api.helpers import event_types, run_workflow, until, written

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    InvalidInputError,
    RunError,
    Runtime,
    ToolRegistry,
    UnknownComponentError,
    Workflow,
    WorkflowContext,
    WorkflowRegistry,
    function,
    tool,
    workflow,
)

ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()
    ToolRegistry.clear()
    yield
    ToolRegistry.clear()


def batches_class(gate: bool = False) -> type[Workflow]:
    """The workflow of the seed document; with a gate it waits before its last step."""

    class DataProcessing(Workflow):
        """Processes data in batches."""

        def __init__(self) -> None:
            super().__init__(name="data_processing")
            self.processed_count = 0
            self.seen: list[str] = []
            self.alias = self.seen

        async def run(self, data: list[str]) -> dict[str, Any]:
            valid = await self.step("validate", self.validate, data)
            batches = [valid[at : at + 2] for at in range(0, len(valid), 2)]
            found = await self.parallel([("analyze", self.analyze, each) for each in batches])
            if gate:
                await self.ctx.wait_for_signal("go")
            total = await self.step("combine", self.combine, found)
            return {
                "count": self.processed_count,
                "total": total,
                "seen": sorted(self.seen),
                "is_one_list": self.alias is self.seen,
            }

        async def validate(self, data: list[str]) -> list[str]:
            ran.append("validate")
            return [item for item in data if item]

        async def analyze(self, batch: list[str]) -> dict[str, int]:
            ran.append(f"analyze {batch}")
            await asyncio.sleep(0)
            self.processed_count += len(batch)
            self.seen.extend(batch)
            return {"letters": sum(map(len, batch))}

        def combine(self, found: list[dict[str, int]]) -> int:
            ran.append("combine")
            return sum(each["letters"] for each in found)

    return DataProcessing


DATA = {"data": ["a", "", "bb", "ccc"]}
EXPECTED = {"count": 3, "total": 6, "seen": ["a", "bb", "ccc"], "is_one_list": True}


async def test_it_is_started_by_the_name_that_it_gives_itself(store) -> None:
    batches_class()
    response = await run_workflow(store, "data_processing", DATA)
    assert response.output == EXPECTED
    assert sorted(ran) == ["analyze ['a', 'bb']", "analyze ['ccc']", "combine", "validate"]


async def test_run_is_a_durable_run_of_its_own(store) -> None:
    wanted = batches_class()
    async with Runtime(store) as runtime:
        assert await wanted().run(DATA["data"]) == EXPECTED
        assert await wanted().run(data=DATA["data"]) == EXPECTED
        client = AsyncClient(runtime=runtime)
        runs = await client.list_runs(component="data_processing")
        assert [str(run.status) for run in runs] == ["completed", "completed"]
        types = await event_types(client, runs[0].run_id)
        assert types.count("workflow.step.completed") == 4


async def test_attributes_that_steps_changed_come_back_on_replay(store) -> None:
    batches_class(gate=True)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        run_id = (await client.submit("data_processing", DATA, "workflow")).run_id
        await until(lambda: len(ran) == 3)
        await written(runtime)
    ran.clear()
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal(run_id, "go")
        response = await client.wait_for_result(run_id, 15)
    assert response.output == EXPECTED, response.error
    assert ran == ["combine"]


async def test_only_what_changed_is_recorded(store) -> None:
    class Counting(Workflow):
        def __init__(self) -> None:
            super().__init__()
            self.count, self.limit = 0, 10
            self.lock = asyncio.Lock()
            self.draft = "old"

        async def run(self) -> int:
            await self.step("up", self.up)
            await self.step("idle", self.idle)
            return self.count

        async def up(self) -> None:
            self.count += 1
            self.lock = asyncio.Lock()
            del self.draft

        async def idle(self) -> None: ...

    async with Runtime(store) as runtime:
        await Counting().run()
        run_id = (await AsyncClient(runtime=runtime).list_runs())[0].run_id
        stored = runtime._log.read(run_id)
    from agnt5.events.codec import decode_fact
    from agnt5.events.run.facts import StepCompleted

    steps = [f for f in map(decode_fact, stored) if isinstance(f, StepCompleted)]
    assert [step.after for step in steps] == [{"self": {"count": 1, "draft": {"$": "gone"}}}, None]


async def test_an_attribute_that_can_no_longer_be_recorded_is_said(store, caplog) -> None:
    class Opening(Workflow):
        def __init__(self) -> None:
            super().__init__()
            self.connection: Any = None
            self.lock = asyncio.Lock()

        async def run(self) -> bool:
            await self.step("open", self.open)
            return self.connection is not None

        async def open(self) -> None:
            self.connection, self.lock = object(), asyncio.Lock()

    async with Runtime(store) as runtime:
        assert await Opening().run()
        run_id = (await AsyncClient(runtime=runtime).list_runs())[0].run_id
        assert all(b"opaque" not in row.state for row in runtime._log.read(run_id))
    (warning,) = [r.getMessage() for r in caplog.records if r.name == "agnt5.step"]
    assert "step ':open#0' has put something into its attribute connection" in warning


async def test_every_run_has_an_instance_of_its_own(store) -> None:
    wanted = batches_class()
    async with Runtime(store):
        one = wanted()
        results = await asyncio.gather(one.run(["x"]), one.run(["y", "z"]))
    assert [each["count"] for each in results] == [1, 2]
    assert one.processed_count == 0


async def test_in_another_workflow_it_is_a_step(store) -> None:
    class Adder(Workflow):
        def __init__(self, start: int = 0) -> None:
            super().__init__("adder")
            self.start = start

        async def run(self, n: int) -> int:
            return await self.step("add", lambda: self.start + n)

    @workflow
    async def parent(ctx: WorkflowContext) -> list[int]:
        return [await Adder(10).run(1), await Adder().run(n=2), await ctx.step(by_name, 3)]

    by_name = WorkflowRegistry.get("adder")
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("parent", {}, "workflow")
        assert response.output == [11, 2, 3], response.error
        keys = {event.step_key for event in await client.get_events(response.run_id)}
    assert {":adder#0", ":adder#0>:add#0", ":adder#1", ":adder#2>:add#0"} <= keys


async def test_a_class_may_call_another_and_its_own_base(store) -> None:
    class Base(Workflow):
        async def run(self, n: int) -> int:
            return await self.step("base", lambda: n + 1)

    class Derived(Base):
        async def run(self, n: int) -> int:
            return 10 * await super().run(n) + await Base().run(n)

    async with Runtime(store):
        assert await Derived().run(1) == 22
        assert await Base().run(1) == 2


async def test_steps_take_functions_tools_and_options(store) -> None:
    @function
    async def double(n: int) -> int:
        return 2 * n

    @tool
    async def notify(message: str, key: str = "k") -> str:
        """Tell somebody."""
        return f"{message}/{key}"

    class Mixed(Workflow):
        async def run(self) -> list[Any]:
            found = await self.parallel([("double", double, 1), ("more", double, 2)])
            keyed = await self.step("twice", double, 5, key="five")
            told = await self.call_tool("notify", message="done", key="mine")
            same = await self.ctx.step("inline", self.helper, "x")
            await self.sleep(0.001)
            return [*found, keyed, told, same, self.run_id == self.ctx.run_id]

        async def helper(self, text: str) -> str:
            self.logger.info("helping")
            return text

    async with Runtime(store):
        assert await Mixed().run() == [2, 4, 10, "done/mine", "x", True]


async def test_a_failed_step_raises_what_it_raised_and_keeps_its_attributes(store) -> None:
    class Failing(Workflow):
        def __init__(self) -> None:
            super().__init__()
            self.tries = 0

        async def run(self) -> int:
            for _ in range(2):
                with contextlib.suppress(LookupError):
                    await self.step("try", self.fail)
            if self.tries == 2:
                raise LookupError(f"tried {self.tries} times")
            return 0

        async def fail(self) -> None:
            self.tries += 1
            raise LookupError("no")

    async with Runtime(store):
        with pytest.raises(LookupError, match="tried 2 times"):
            await Failing().run()


async def test_agents_and_tools_that_do_not_exist_are_named(store) -> None:
    class Lost(Workflow):
        async def run(self, what: str) -> None:
            await (self.call_tool("nofity") if what == "tool" else self.call_agent("critic", "?"))

    @tool
    def notify() -> None:
        """Tell somebody."""

    async with Runtime(store):
        with pytest.raises(UnknownComponentError, match="'nofity', which is not registered.*Did"):
            await Lost().run("tool")
        with pytest.raises(UnknownComponentError, match="'critic', which does not exist here"):
            await Lost().run("agent")


@pytest.mark.parametrize("wrong", [["x"], [("a",)], [("", len)], [("a", 3)], [(len, "a")]])
async def test_parallel_refuses_what_is_no_call_before_anything_runs(store, wrong) -> None:
    class Wrong(Workflow):
        async def run(self) -> str:
            with pytest.raises(ValueError, match="item 1 of self.parallel must be a tuple"):
                self.parallel([("fine", self.fine), *wrong])
            with pytest.raises(ValueError, match="takes a name first"):
                self.step(self.fine, "name")  # type: ignore[arg-type]
            assert await self.parallel([]) == []
            return "nothing"

        async def fine(self) -> None:
            ran.append("fine")

    async with Runtime(store) as runtime:
        assert await Wrong().run() == "nothing"
        run_id = (await AsyncClient(runtime=runtime).list_runs())[0].run_id
        assert "workflow.step.started" not in await event_types(AsyncClient(), run_id)
    assert not ran


async def test_outside_of_a_run_nothing_of_a_run_is_there() -> None:
    made = batches_class()()
    for use in (
        lambda: made.ctx,
        lambda: made.run_id,
        lambda: made.state,
        lambda: made.logger,
        lambda: made.step("a", len, "b"),
        lambda: made.parallel([]),
        lambda: made.call_tool("t"),
        lambda: made.call_agent("a", "p"),
        lambda: made.sleep(1),
        lambda: made.wait_for_user("?"),
    ):
        with pytest.raises(InvalidInputError, match="no run executes this"):
            use()


def test_a_workflow_may_have_attributes_that_are_called_like_ours() -> None:
    class Own(Workflow):
        def __init__(self) -> None:
            super().__init__()
            self.state, self.logger = {"n": 1}, logging.getLogger("own")

        async def run(self) -> None: ...

    assert Own().state == {"n": 1}


async def test_what_cannot_be_made_again_cannot_be_a_run_of_its_own(store) -> None:
    class Needs(Workflow):
        def __init__(self, url: str) -> None:
            super().__init__("needs")
            self.url = url

        async def run(self) -> str:
            return self.url

    class Optional(Workflow):
        def __init__(self, url: str = "here") -> None:
            super().__init__("optional")
            self.url = url

        async def run(self) -> str:
            return self.url

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        with pytest.raises(InvalidInputError, match="makes a new instance without arguments"):
            await Needs("there").run()
        with pytest.raises(InvalidInputError, match=r"made with .*Needs\(url\)"):
            await client.run("Needs", {}, "workflow")
        with pytest.raises(InvalidInputError, match="made with arguments of its own"):
            await Optional("there").run()
        with pytest.raises(TypeError, match="unexpected keyword argument 'n'"):
            await Optional().run(n=1)
        with pytest.raises(InvalidInputError, match="'n' is unknown"):
            await client.run("optional", {"n": 1}, "workflow")
        assert await client.list_runs() == []
        assert await Optional().run() == "here"


async def test_within_the_function_of_a_step_it_is_refused(store) -> None:
    class Inner(Workflow):
        async def run(self) -> None: ...

    @function
    async def outer() -> None:
        await Inner().run()

    async with Runtime(store) as runtime:
        response = await AsyncClient(runtime=runtime).run("outer")
    assert "which may be tried again" in str(response.error)


def test_a_body_that_is_wrong_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigurationError, match=r"run must be 'async def'"):

        class Blocking(Workflow):
            def run(self) -> None: ...  # type: ignore[override]

    for name in ("", 3):
        with pytest.raises(ConfigurationError, match="must be a text that is not empty"):
            Workflow(name)  # type: ignore[arg-type]
    for timeout in (0, -1, float("nan"), True, "5"):
        with pytest.raises(ConfigurationError, match="more than 0"):
            Workflow(timeout=timeout)  # type: ignore[arg-type]


async def test_a_class_without_a_body_says_so() -> None:
    class Empty(Workflow):
        pass

    assert WorkflowRegistry.get("Empty") is None
    with pytest.raises(ConfigurationError, match="has no 'async def run"):
        await Empty().run()


def test_name_description_and_timeout() -> None:
    class Plain(Workflow):
        """Does little.

        At length.
        """

        async def run(self) -> None: ...

    class Mute(Workflow):
        def __init__(self) -> None:
            """Never calls the base."""

        async def run(self) -> None: ...

    given = Plain("other", description="More", timeout=5)
    assert (Plain().name, Plain().description, Plain().timeout) == ("Plain", "Does little.", None)
    assert (given.name, given.description, given.timeout) == ("other", "More", 5.0)
    assert (Mute().name, Mute().description) == ("Mute", "")
    assert WorkflowRegistry.list_names() == ["Mute", "Plain"]


async def test_a_class_takes_the_name_of_a_workflow_of_its_module(store) -> None:
    @workflow
    async def data_processing(ctx: WorkflowContext, data: list[str]) -> str:
        return "decorated"

    batches_class()
    later = batches_class()
    response = await run_workflow(store, "data_processing", DATA)
    assert response.output == EXPECTED
    assert WorkflowRegistry.get("data_processing")._cls is later


async def test_in_another_module_the_earlier_keeps_its_name(store, caplog) -> None:
    @workflow
    async def data_processing(ctx: WorkflowContext, data: list[str]) -> str:
        return "decorated"

    data_processing.__module__ = "elsewhere"
    wanted = batches_class()
    response = await run_workflow(store, "data_processing", DATA)
    assert response.output == "decorated"
    assert "workflow name collision" in caplog.text
    async with Runtime(store):
        with pytest.raises(ValueError, match="name collision: 'data_processing'"):
            await wanted().run([])


def test_whoever_looks_while_another_thread_registers_sees_everything() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Workflow):
        def __init__(self) -> None:
            super().__init__("slow")
            begun.set()
            assert go_on.wait(10)

        async def run(self) -> None: ...

    batches_class()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(WorkflowRegistry.get, "slow")
        assert begun.wait(10)
        second = pool.submit(WorkflowRegistry.get, "data_processing")
        go_on.set()
        assert first.result() is not None
        assert second.result() is not None


def test_a_constructor_that_fails_leaves_the_others_in_peace(caplog) -> None:
    class Broken(Workflow):
        def __init__(self) -> None:
            super().__init__("broken")
            raise OSError("no such device")

        async def run(self) -> None: ...

    batches_class()
    assert WorkflowRegistry.list_names() == ["Broken", "data_processing"]
    assert "no such device" in caplog.text


@pytest.mark.parametrize("how", ["cancelled", "suspended"])
async def test_a_run_without_a_result_raises(store, how) -> None:
    class Endless(Workflow):
        async def run(self) -> None:
            ran.append("body")
            await (self.step("b", len, "") if len(ran) == 2 else self.step("a", len, ""))
            await self.ctx.wait_for_signal("never")

    async with Runtime(store, park_after=0) as runtime:
        client = AsyncClient(runtime=runtime)
        awaited = asyncio.ensure_future(Endless().run())
        await until(lambda: ran)
        await written(runtime)
        run_id = (await client.list_runs())[0].run_id
        if how == "cancelled":
            await client.cancel(run_id, "enough")
        else:
            await until(lambda: run_id not in runtime._bus.runs)
            await client.signal(run_id, "other")
        with pytest.raises(RunError, match=f"run {run_id} of workflow 'Endless' gave no result"):
            await awaited


async def test_a_question_is_waited_for(store) -> None:
    class Asking(Workflow):
        async def run(self) -> str | None:
            return await self.wait_for_user("Ship it?", input_type="approval")

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        answer = asyncio.ensure_future(Asking().run())
        found: list[Any] = []
        while not found:
            await asyncio.sleep(0.002)
            found = await client.list_runs(status="awaiting_user_input")
        await client.resume(found[0].run_id, "approve")
        assert await answer == "approve"
