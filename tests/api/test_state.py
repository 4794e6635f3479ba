"""``ctx.state``, ``ctx.session.state`` and ``ctx.user.state``: lifetimes, replays, lost updates."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.api.helpers import twice, until, written

from agnt5 import (
    AsyncClient,
    FunctionContext,
    FunctionRegistry,
    InvalidInputError,
    PayloadError,
    Runtime,
    StateConflictError,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.events.codec import decode_history
from agnt5.events.run.state import fold
from agnt5.events.stores.memory import MemoryLog


@dataclass
class Point:
    x: int


async def answer(store, body, **given):
    """What a body returns, in a runtime of its own."""
    FunctionRegistry.clear()
    WorkflowRegistry.clear()

    @workflow(name="subject")
    async def subject(ctx):
        return await body(ctx)

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        response = await client.run("subject", {}, "workflow", timeout=15, **given)
        assert response.is_success, response.error
        return response.output


class TestRunState:
    async def test_writes_hold_at_once_and_may_be_awaited(self, store):
        async def body(ctx):
            ctx.state.set("a", 1)
            await ctx.state.set("b", Point(2))
            await ctx.state.set_async("c", (1, 2))
            await ctx.state.set_async("d", 4)
            ctx.state.delete("d")
            await ctx.state.delete_async("nothing")
            found = [ctx.state.get("a"), ctx.state.get("b"), ctx.state.get("c")]
            found += [ctx.state.get("d", "gone"), ctx.state.keys(), "a" in ctx.state]
            ctx.state.clear()
            return [*found, ctx.state.to_dict()]

        live, replayed = await twice(store, body)
        assert live == replayed
        assert live == [1, Point(2), (1, 2), "gone", ["a", "b", "c"], True, {}]

    async def test_a_value_is_what_it_was_when_it_was_set(self, store):
        async def body(ctx):
            lines = ["a"]
            ctx.state.set("lines", lines)
            lines.append("b")
            ctx.state.get("lines").append("c")
            return ctx.state.get("lines")

        assert await twice(store, body) == (["a"], ["a"])

    async def test_each_run_begins_with_nothing(self, store):
        async def body(ctx):
            before = ctx.state.to_dict()
            ctx.state.set("a", 1)
            return before

        for _ in range(2):
            assert await answer(store, body, session_id="s", user_id="u") == {}

    async def test_what_a_step_changes_counts_when_it_succeeds(self, store):
        tries = []

        @function(retries={"max_attempts": 3, "initial_interval_ms": 1})
        async def work(ctx: FunctionContext) -> list:
            tries.append(dict(ctx.state.to_dict()))
            ctx.state.set(f"try{len(tries)}", True)
            ctx.state.delete("old")
            if len(tries) < 3:
                raise ValueError("again")
            return ctx.state.keys()

        @function
        def on_a_thread(ctx: FunctionContext) -> int:
            ctx.state.set("n", ctx.state.get("n", 0) + 1)
            return ctx.state.get("n")

        async def body(ctx):
            ctx.state.set("old", 1)
            waiting = ctx.step(work)
            ctx.state.set("later", 2)
            seen = await waiting
            return [seen, ctx.state.to_dict(), await ctx.step(on_a_thread), ctx.state.get("n")]

        live, replayed = await twice(store, body)
        assert live == replayed
        assert live == [["try3"], {"later": 2, "try3": True}, 1, 1]
        assert tries == [{"old": 1}] * 3

    async def test_a_step_that_fails_changes_nothing(self, store):
        @function
        async def work(ctx: FunctionContext) -> None:
            ctx.state.set("a", 1)
            raise ValueError("no")

        async def body(ctx):
            with pytest.raises(ValueError):
                await ctx.step(work)
            return ctx.state.to_dict()

        assert await twice(store, body) == ({}, {})

    async def test_what_a_workflow_inside_has_set_stays_after_a_replay(self, store):
        """Its body is not run again, once its result is on record."""

        @function
        async def deep(ctx: FunctionContext) -> None:
            ctx.state.set("deep", 1)

        @workflow
        async def inner(ctx):
            ctx.state.set("inner", 1)
            ctx.state.set("gone", 1)
            ctx.state.delete("gone")
            await ctx.step(deep)

        async def body(ctx):
            async def raw():
                ctx.state.set("raw", 1)

            await ctx.step(inner)
            await ctx.step("raw", raw)
            return ctx.state.to_dict()

        live, replayed = await twice(store, body)
        assert live == replayed == {"inner": 1, "deep": 1, "raw": 1}

    async def test_a_function_as_a_run_of_its_own_has_state_too(self, store):
        @function
        async def work(ctx: FunctionContext) -> dict:
            ctx.state.set("a", 1)
            return ctx.state.to_dict()

        async with Runtime(store) as runtime:
            response = await AsyncClient(runtime=runtime).run("work", {})
            assert response.output == {"a": 1}

    async def test_bad_input(self, store):
        async def body(ctx):
            for name in ("", 5, "a\nb", "x" * 513):
                with pytest.raises(InvalidInputError):
                    ctx.state.set(name, 1)
                with pytest.raises(InvalidInputError):
                    ctx.session.state.set(name, 1)
            with pytest.raises(PayloadError, match="state 'f'"):
                ctx.state.set("f", lambda: 0)
            with pytest.raises(PayloadError, match="session state 'f'"):
                ctx.session.state.set("f", lambda: 0)
            with pytest.raises(PayloadError, match="limit"):
                ctx.state.set("big", "x" * 9_000_000)
            return ctx.state.to_dict()

        assert await answer(store, body) == {}

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["set", "delete", "clear", "step", "inner", "gather"]),
                st.sampled_from("ab"),
            ),
            max_size=10,
        )
    )
    def test_a_replay_sees_what_the_first_pass_saw(self, program):
        """Whatever wrote it: the body, a step, a workflow inside, branches side by side."""
        FunctionRegistry.clear()
        WorkflowRegistry.clear()

        @function
        async def work(ctx: FunctionContext, name: str, n: int) -> None:
            ctx.state.set(name, [n])
            ctx.state.delete("b" if name == "a" else "a")

        @workflow
        async def inner(ctx, name: str, n: int):
            ctx.state.set(name, -n)
            await ctx.step(work, name + "x", n)

        async def body(ctx):
            seen = []
            for n, (what, name) in enumerate(program):
                match what:
                    case "set":
                        ctx.state.set(name, n)
                    case "delete":
                        ctx.state.delete(name)
                    case "clear":
                        ctx.state.clear()
                    case "step":
                        await ctx.step(work, name, n)
                    case "inner":
                        await ctx.step(inner, name, n)
                    case _:
                        await asyncio.gather(ctx.step(inner, name, n), ctx.step(work, "c", n))
                seen.append(ctx.state.to_dict())
            return seen

        live, replayed = asyncio.run(twice(MemoryLog(), body))
        assert live == replayed

    async def test_what_a_step_under_way_sets_is_seen_beside_it_when_it_has_ended(self, store):
        """Its own steps see it at once, as it does; what it deletes is treated alike."""

        @function
        async def look(ctx: FunctionContext) -> dict:
            return ctx.state.to_dict()

        passes = []

        async def body(ctx):
            passes.append(1)
            ctx.state.set("old", 1)
            is_set, may_end = asyncio.Event(), asyncio.Event()

            async def inner():
                ctx.state.set("new", 1)
                ctx.state.delete("old")
                seen = [ctx.state.to_dict(), await ctx.step(look)]
                is_set.set()
                await may_end.wait()
                return seen

            step = asyncio.ensure_future(ctx.step("inner", inner))
            if len(passes) == 1:
                await is_set.wait()
            beside = [ctx.state.to_dict(), await ctx.step("beside", look)]
            may_end.set()
            return [beside, await step, ctx.state.to_dict()]

        live, replayed = await twice(store, body)
        old, new = {"old": 1}, {"new": 1}
        assert live == replayed == [[old, old], [new, new], new]

    async def test_names_may_look_like_keys(self, store):
        """As those that the engine makes of the names of steps and of values."""
        names = ["a>b", "a%3Eb", ":x#0>y", "x>", "/0:a#1", "%"]

        async def body(ctx):
            async def inner(name):
                deeper = await ctx.step(f"{name}>", inner, name[1:]) if len(name) > 1 else 0
                ctx.state.set(name, deeper)
                return len(name)

            for name in names:
                await ctx.step(name, inner, name)
            return ctx.state.to_dict()

        live, replayed = await twice(store, body)
        assert live == replayed
        assert set(names) <= set(live)

    @pytest.mark.parametrize("how", ["raises", "is given up"])
    async def test_what_a_step_sets_that_does_not_succeed_counts_nowhere(self, store, how):
        cleaned = []

        async def body(ctx):
            ctx.state.set("old", 1)

            async def inner():
                ctx.state.set("new", 1)
                ctx.state.delete("old")
                if how == "raises":
                    raise ValueError
                try:
                    await ctx.wait_for_signal("never")
                finally:
                    cleaned.append(ctx.state.to_dict())

            step = ctx.step("inner", inner)
            if how == "raises":
                with pytest.raises(ValueError):
                    await step
            else:
                await ctx.sleep(0.01)
                step.cancel()
            return ctx.state.to_dict()

        assert await twice(store, body) == ({"old": 1}, {"old": 1})
        assert cleaned == [{"new": 1}] * (how != "raises"), "its cleanup sees what it has set"

    @settings(deadline=None)
    @given(
        st.lists(
            st.recursive(
                st.sampled_from(["set", "delete", "read", "step", "fail"]),
                lambda deeper: st.tuples(
                    st.lists(deeper, min_size=1, max_size=3), st.lists(deeper, max_size=3)
                ),
                max_leaves=12,
            ),
            max_size=4,
        )
    )
    @example([([(["set"], [(["read"], ["set"])])], [])])
    def test_a_replay_sees_the_same_beside_steps_under_way(self, program):
        """Steps within steps, each beside a branch that reads and writes as well."""
        FunctionRegistry.clear()
        WorkflowRegistry.clear()

        @function
        async def look(ctx: FunctionContext) -> dict:
            return ctx.state.to_dict()

        async def fails(ctx, value):
            ctx.state.set("a", value)
            await ctx.step(look)
            raise ValueError

        async def play(ctx, part, path):
            seen = []
            for n, what in enumerate(part):
                match what:
                    case "set":
                        ctx.state.set("a", f"{path}/{n}")
                    case "delete":
                        ctx.state.set("deleted", path)
                        ctx.state.delete("a")
                    case "read":
                        seen.append(ctx.state.to_dict())
                    case "step":
                        seen.append(await ctx.step(look))
                    case "fail":
                        with pytest.raises(ValueError):
                            await ctx.step("fails", fails, ctx, f"{path}/{n}")
                    case under_way, beside:
                        inner = ctx.step("in", lambda p=under_way, n=n: play(ctx, p, f"{path}/{n}"))
                        seen.append(await asyncio.gather(inner, play(ctx, beside, f"{path}|{n}")))
            return [*seen, ctx.state.to_dict()]

        log = MemoryLog()
        live, replayed = asyncio.run(twice(log, lambda ctx: play(ctx, program, "")))
        assert live == replayed
        if "|" not in str(live):
            # What branches side by side write of one name may be applied in another order than
            # that of the log; nothing was written beside a step here.
            [run_id] = log.run_ids()
            assert fold(run_id, decode_history(log.read(run_id))).values == live[-1]


class TestSharedState:
    async def test_it_outlives_the_run_and_belongs_to_the_session(self, store):
        async def write(ctx):
            await ctx.session.state.set("a", Point(1))
            await ctx.session.state.set("b", 2)
            await ctx.session.state.delete("b")
            await ctx.user.state.set("a", "mine")
            return [ctx.session.id, ctx.user.id]

        async def read(ctx):
            mine = await ctx.user.state.get("a", "none") if ctx.user else None
            keys = await ctx.session.state.keys()
            return [await ctx.session.state.get("a", "none"), keys, mine]

        async def clear(ctx):
            await ctx.session.state.clear()

        assert await answer(store, write, session_id="s", user_id="u") == ["s", "u"]
        assert await answer(store, read, session_id="s") == [Point(1), ["a"], None]
        assert await answer(store, read, session_id="t", user_id="u") == ["none", [], "mine"]
        assert await answer(store, read) == ["none", [], None]
        await answer(store, clear, session_id="s")
        assert await answer(store, read, session_id="s") == ["none", [], None]

    async def test_a_replay_reads_what_was_read_and_writes_nothing(self, store):
        async def body(ctx):
            count = await ctx.session.state.get("count", 0)
            await ctx.session.state.set("count", count + 1)
            done = await ctx.session.state.update("total", lambda n: n + 10, 0)
            return [count, done, await ctx.session.state.get("count")]

        assert await twice(store, body) == ([0, 10, 1], [0, 10, 1])

    async def test_a_write_that_rests_on_an_old_read_is_refused(self, store):
        """Two runs read, then both write: the second is told, and nothing is lost."""
        read, go = [], asyncio.Event()

        @function
        async def hold(n: int) -> None:
            read.append(n)
            await go.wait()

        @workflow
        async def add(ctx, n: int):
            count = await ctx.session.state.get("count", 0)
            await ctx.step(hold, n)
            try:
                await ctx.session.state.set("count", count + n)
            except StateConflictError as error:
                return str(error)
            return "written"

        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            runs = [
                asyncio.ensure_future(client.run("add", {"n": n}, "workflow", session_id="s"))
                for n in (1, 1)
            ]
            await until(lambda: len(read) == 2)
            go.set()
            outputs = sorted([(await run).output for run in runs])
        assert outputs[1] == "written"
        assert "ctx.session.state.update('count'" in outputs[0]

        async def look(ctx):
            return await ctx.session.state.get("count")

        assert await answer(store, look, session_id="s") == 1

    async def test_concurrent_branches_of_one_run_are_told_as_well(self, store):
        async def body(ctx):
            await ctx.session.state.set("n", 0)
            count = await ctx.session.state.get("n")

            async def add():
                await ctx.session.state.set("n", count + 1)

            async def read_and_add():
                mine = await ctx.session.state.get("n")
                await ctx.session.state.set("n", mine + 1)

            found = await asyncio.gather(add(), add(), return_exceptions=True)
            await read_and_add()
            await ctx.session.state.set("other", 1)
            return [type(each).__name__ for each in found], await ctx.session.state.get("n")

        live, replayed = await twice(store, body)
        assert live == replayed == (["NoneType", "StateConflictError"], 2)

    async def test_it_goes_together_with_other_calls(self, store):
        """In parallel and gather, beside raw coroutines; but it is no step to be wrapped."""

        async def body(ctx):
            state = ctx.session.state

            async def raw():
                await state.update("raw", lambda n: n + 1, 0)
                return await state.get("raw")

            found = await ctx.parallel(state.set("a", 1), state.update("n", lambda n: n + 1, 0))
            named = await ctx.gather(a=state.get("a"), keys=state.keys(), raw=raw())
            with pytest.raises(ValueError, match="another durable call"):
                ctx.step("wrapped", state.get("a"))
            state.set("unawaited", 1)
            return [found, named["a"], named["raw"], await state.get("unawaited", 0) in (0, 1)]

        live, replayed = await twice(store, body)
        assert live == replayed == [[None, 1], 1, 1, True]

    async def test_writes_without_a_read_are_never_refused(self, store):
        async def body(ctx):
            for n in range(3):
                await ctx.session.state.set("n", n)
            await asyncio.gather(*(ctx.session.state.set("n", n) for n in range(3)))
            return await ctx.session.state.get("n")

        assert await twice(store, body) == (2, 2)

    async def test_updates_of_many_runs_are_all_there(self, store):
        @workflow
        async def add(ctx, n: int):
            both = [ctx.session.state.update("count", lambda v: v + n, 0) for _ in range(2)]
            await asyncio.gather(*both, ctx.user.state.update("count", lambda v: v + n, 0))

        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            given = {"session_id": "s", "user_id": "u"}
            runs = [client.run("add", {"n": n}, "workflow", **given) for n in range(10)]
            assert all(run.is_success for run in await asyncio.gather(*runs))

        async def look(ctx):
            return [await ctx.session.state.get("count"), await ctx.user.state.get("count")]

        assert await answer(store, look, **given) == [90, 45]

    async def test_a_read_writes_nothing_to_the_session(self, store):
        async def body(ctx):
            return await ctx.session.state.get("count", 0)

        WorkflowRegistry.clear()
        assert await answer(store, body, session_id="s") == 0
        async with Runtime(store) as runtime:
            await written(runtime)
            assert runtime._log.read("$entity/$session/s") == []
