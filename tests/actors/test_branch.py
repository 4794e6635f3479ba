"""Branches follow the code and never the clock; a closed body ends."""

from __future__ import annotations

import asyncio
import gc
from contextvars import copy_context
from weakref import WeakSet, ref

import pytest
from tests.actors.tools import turns

from agnt5.actors.branch import (
    CURRENT,
    Branch,
    Guard,
    StepFuture,
    chain_task_factory,
    spawn,
)
from agnt5.exceptions import BodyClosed, ExecutionError


class Host:
    """The script of a body, as its branches see it."""

    def __init__(self) -> None:
        self.run_id = "r1"
        self.loop = asyncio.get_running_loop()
        self.guards: set[Guard] = set()
        self.failed: WeakSet[asyncio.Task] = WeakSet()
        self.task_failed = self.failed.add
        self.moves = 0
        self.closed = False
        self.given_up: list[str] = []
        self.dropped: list[Guard] = []

    def give_up(self, key):
        self.given_up.append(key)

    def stuck(self, guard):
        self.dropped.append(guard)

    def run(self, body) -> asyncio.Task:
        """Begin a body."""
        return spawn(Branch(self, ""), body, context=copy_context())

    def close(self) -> None:
        """As a script does."""
        self.closed = True
        for guard in list(self.guards):
            guard.task.cancel()


@pytest.fixture
async def host():
    undo = chain_task_factory(asyncio.get_running_loop())
    yield Host()
    undo()


def here() -> str:
    return CURRENT.get().path


class TestNumbering:
    async def test_the_body_is_the_root(self, host):
        async def body():
            return here()

        assert await host.run(body()) == ""

    async def test_tasks_are_numbered_in_the_order_of_their_creation(self, host):
        """Whichever moves or ends first."""
        order = []

        async def branch(patience):
            await turns(patience)
            order.append(here())
            return here()

        async def body():
            return await asyncio.gather(branch(9), branch(1), branch(5))

        assert await host.run(body()) == ["/0", "/1", "/2"]
        assert order == ["/1", "/2", "/0"]

    async def test_a_task_of_a_task(self, host):
        async def leaf():
            return here()

        async def branch():
            await turns(2)
            return await asyncio.gather(leaf(), leaf())

        async def body():
            first = asyncio.create_task(branch())
            await turns(5)
            return [await first, await asyncio.create_task(leaf()), await asyncio.gather(branch())]

        assert await host.run(body()) == [["/0/0", "/0/1"], "/1", [["/2/0", "/2/1"]]]

    @pytest.mark.parametrize("way", ["group", "wait", "wait_for", "as_completed", "shield"])
    async def test_every_way_to_make_a_task(self, host, way):
        async def leaf():
            return here()

        async def body():
            match way:
                case "group":
                    async with asyncio.TaskGroup() as group:
                        tasks = [group.create_task(leaf()) for _ in range(2)]
                    return [task.result() for task in tasks]
                case "wait":
                    tasks = [asyncio.ensure_future(leaf()) for _ in range(2)]
                    await asyncio.wait(tasks)
                    return [task.result() for task in tasks]
                case "wait_for":
                    return [await asyncio.wait_for(leaf(), 9) for _ in range(2)]
                case "as_completed":
                    return sorted([await x for x in asyncio.as_completed([leaf(), leaf()])])
                case _:
                    return [await asyncio.shield(leaf()) for _ in range(2)]

        found = await host.run(body())
        if way == "as_completed":
            assert set(found) == {"/0", "/1"}
        else:
            assert found == ["/0", "/1"]

    async def test_tasks_outside_of_bodies_are_plain(self, host):
        async def plain():
            return CURRENT.get()

        task = asyncio.create_task(plain())
        assert not isinstance(task.get_coro(), Guard)
        assert await task is None
        assert host.guards == set()

    async def test_occurrences_are_counted_by_branch_and_name(self, host):
        branch = Branch(host, "/0")
        assert [branch.occurrence("a"), branch.occurrence("b"), branch.occurrence("a")] == [0, 0, 1]
        assert branch.child().occurrence("a") == 0
        assert branch.child().path == "/0/1"


class TestFactory:
    async def test_the_one_before_is_chained_and_restored(self):
        loop = asyncio.get_running_loop()
        made = []

        def own(loop, coro, **kwargs):
            made.append(coro)
            return asyncio.Task(coro, loop=loop, **kwargs)

        async def leaf():
            return here() if CURRENT.get() else None

        loop.set_task_factory(own)
        try:
            undo = chain_task_factory(loop)
            host = Host()

            async def body():
                return await asyncio.create_task(leaf())

            plain = leaf()
            assert await asyncio.create_task(plain) is None
            assert made[-1] is plain
            assert await host.run(body()) == "/0"
            assert isinstance(made[-1], Guard)
            undo()
            assert loop.get_task_factory() is own
        finally:
            loop.set_task_factory(None)

    async def test_one_that_came_later_is_left_alone(self):
        loop = asyncio.get_running_loop()
        undo = chain_task_factory(loop)

        def later(loop, coro, **kwargs):
            return asyncio.Task(coro, loop=loop, **kwargs)

        loop.set_task_factory(later)
        undo()
        assert loop.get_task_factory() is later
        loop.set_task_factory(None)

    async def test_names_and_contexts_of_tasks_pass_through(self, host):
        async def leaf():
            return asyncio.current_task().get_name()

        async def body():
            context = copy_context()
            return await asyncio.create_task(leaf(), name="mine", context=context)

        assert await host.run(body()) == "mine"

    async def test_a_group_takes_a_durable_call(self, host):
        """A step is a future; a task wants a coroutine."""
        future = StepFuture(host, "a")

        async def body():
            async with asyncio.TaskGroup() as group:
                task = group.create_task(future)
            return task.result()

        task = host.run(body())
        await turns(3)
        future.set_result(7)
        assert await task == 7


class TestStepFuture:
    async def test_to_cancel_it_is_to_give_up(self, host):
        future = StepFuture(host, "a")
        assert future.cancel()
        assert not future.cancel()
        assert host.given_up == ["a"]

    async def test_what_is_settled_cannot_be_given_up(self, host):
        future = StepFuture(host, "a")
        future.set_result(1)
        assert not future.cancel()
        assert host.given_up == []


class TestGuard:
    async def test_what_has_ended_goes_without_the_collector(self, host):
        """With the task its context and its result, which may be large."""

        class Result:
            pass

        async def body():
            return Result()

        gc.disable()
        try:
            task = host.run(body())
            ended, result = ref(task), ref(await task)
            del task
            await asyncio.sleep(0)
            assert (ended(), result()) == (None, None)
        finally:
            gc.enable()

    async def test_it_counts_moves_and_knows_what_is_waited_for(self, host):
        future = StepFuture(host, "a")

        async def body():
            return await future

        task = host.run(body())
        await turns(3)
        (guard,) = host.guards
        assert guard.waiting_on is future
        assert guard.task is task
        assert host.moves == 1
        future.set_result(5)
        assert await task == 5
        assert host.moves == 2
        assert host.guards == set()

    async def test_errors_pass(self, host):
        async def body():
            raise KeyError("sku")

        with pytest.raises(KeyError):
            await host.run(body())
        assert host.guards == set()

    @pytest.mark.parametrize("cancelled", [False, True])
    async def test_a_body_that_exits_does_not_end_the_loop(self, host, cancelled):
        async def body():
            try:
                await turns(3)
            finally:
                raise SystemExit(3)

        task = host.run(body())
        await turns(2)
        if cancelled:
            task.cancel()
        with pytest.raises(ExecutionError, match="asked the program to exit"):
            await task

    async def test_it_looks_like_its_coroutine(self, host):
        async def body():
            await turns(1)

        task = host.run(body())
        guard = task.get_coro()
        assert guard.cr_code is body.__code__
        assert guard.__qualname__ == body.__qualname__
        assert "body" in repr(task)
        await task


class TestClosing:
    async def close(self, host, body) -> list[str]:
        """Begin a body, close it at its first wait; the task has been cancelled."""
        task = host.run(body)
        await turns(3)
        host.close()
        await turns(5)
        assert task.cancelled()
        assert host.guards == set()

    async def test_a_body_that_waits_is_ended_where_it_waits(self, host):
        seen = []

        async def body():
            try:
                await StepFuture(host, "a")
            except BodyClosed:
                seen.append("closed")
                raise

        await self.close(host, body())
        assert seen == ["closed"]

    async def test_except_exception_does_not_catch_it(self, host):
        seen = []

        async def body():
            try:
                await StepFuture(host, "a")
            except Exception:
                seen.append("caught")

        await self.close(host, body())
        assert seen == []

    async def test_a_finally_that_waits_is_answered_with_the_same(self, host):
        """No effect leaves a body whose run has left memory."""
        seen = []

        async def body():
            try:
                await StepFuture(host, "a")
            finally:
                seen.append("finally")
                await asyncio.sleep(0)
                seen.append("never")

        await self.close(host, body())
        assert seen == ["finally"]

    async def test_an_except_that_goes_on_is_answered_at_its_next_wait(self, host):
        seen = []

        async def body():
            try:
                await StepFuture(host, "a")
            except BaseException:
                seen.append("caught")
            await asyncio.sleep(0)
            seen.append("never")

        await self.close(host, body())
        assert seen == ["caught"]

    async def test_what_it_makes_of_its_end_concerns_nobody(self, host):
        async def body():
            try:
                await StepFuture(host, "a")
            finally:
                raise ValueError("late")

        await self.close(host, body())

    async def test_a_task_that_never_began_never_begins(self, host):
        seen = []

        async def leaf():
            seen.append("began")

        async def body():
            asyncio.create_task(leaf())  # noqa: RUF006 - held by its guard
            host.close()
            await asyncio.sleep(0)
            seen.append("never")

        task = host.run(body())
        await turns(6)
        assert task.cancelled()
        assert seen == []
        assert host.guards == set()

    async def test_all_branches_end(self, host):
        seen = []

        async def branch(n):
            try:
                await StepFuture(host, f"{n}")
            finally:
                seen.append(n)

        async def body():
            await asyncio.gather(*map(branch, range(3)))

        task = host.run(body())
        await turns(3)
        host.close()
        await turns(9)
        assert task.cancelled()
        assert sorted(seen) == [0, 1, 2]

    async def test_a_body_that_catches_it_for_ever_is_dropped(self, host):
        caught = []

        async def body():
            while True:
                try:
                    await asyncio.sleep(0)
                    await StepFuture(host, "a")
                except BaseException as error:
                    caught.append(error)

        task = host.run(body())
        await turns(5)
        host.close()
        await turns(9)
        assert task.cancelled()
        assert len(host.dropped) == 1
        assert 10 < len(caught) < 1000
        assert all(isinstance(error, BodyClosed) for error in caught)
        del task
        gc.collect()


async def test_runtimes_that_share_a_loop_number_each_task_once():
    """Else the keys of a run would depend on how many runtimes are open beside its own."""
    loop, paths = asyncio.get_running_loop(), []
    before = loop.get_task_factory()
    undo_first = chain_task_factory(loop)

    async def child():
        paths.append(CURRENT.get().path)

    async def body():
        undo_second = chain_task_factory(loop)
        await asyncio.gather(child(), child())
        undo_first()  # they close in any order
        await asyncio.create_task(child())
        undo_second()

    await Host().run(body())
    assert paths == ["/0", "/1", "/2"]
    assert loop.get_task_factory() is before
