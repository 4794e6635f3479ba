"""Which branch of a body a task is, and the guard that every task of a body runs under.

A branch is fixed when its task is created: the loop's task factory, chained while a runtime is
open, gives each task that a body makes the next index of the task that makes it. So the numbering
follows the code and never the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar, copy_context
from types import TracebackType
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

from agnt5.events.keys import child_branch
from agnt5.exceptions import BodyClosed, ExecutionError

_THROWS = 100
"""How often a closed body may catch BodyClosed and go on before it is dropped."""

_stuck: list[object] = []

CURRENT: ContextVar[Branch | None] = ContextVar("agnt5_branch", default=None)


class Body(Protocol):
    """The script that hosts a body, as its branches and guards see it."""

    run_id: str
    loop: asyncio.AbstractEventLoop
    guards: set[Guard]
    moves: int
    calm: bool
    closed: bool
    frozen: bool

    def task_failed(self, task: asyncio.Task[Any]) -> None:
        """One of its tasks ended with an exception, which nobody may come to look at."""
        ...

    def give_up(self, key: str) -> None:
        """It has stopped waiting for a call."""
        ...

    def stuck(self, guard: Guard) -> None:
        """A task of the closed body would not end."""
        ...


class StepFuture(asyncio.Future[Any]):
    """What a durable call returns. Giving up the wait (cancelling it) is recorded too."""

    __slots__ = ("_script", "convert", "key", "outlives", "run_id")
    run_id: str
    """Of a child: its run. Other calls have none."""

    def __init__(self, script: Body, key: str) -> None:
        super().__init__(loop=script.loop)
        self._script = script
        self.key = key
        self.convert: Callable[[Any], object] | None = None
        """What whoever waits makes of the whole outcome; None: it wants just its value."""
        self.outlives = False
        """Of a child that goes on by itself when the body is over."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Stop waiting: the attempt that may be under way is cancelled."""
        if not super().cancel(msg):
            return False
        self._script.give_up(self.key)
        return True


class Branch:
    """A place in a body: the path of tasks that leads to it, and what was called there so far."""

    __slots__ = ("_children", "_occurrences", "path", "script")

    def __init__(self, script: Body, path: str) -> None:
        self.script = script
        self.path = path
        self._children = 0
        self._occurrences: dict[str, int] = {}

    def occurrence(self, name: str) -> int:
        """How often this name was called here before; counts this call."""
        n = self._occurrences.get(name, 0)
        self._occurrences[name] = n + 1
        return n

    def child(self) -> Branch:
        """The branch of the next task made here."""
        branch = Branch(self.script, child_branch(self.path, self._children))
        self._children += 1
        return branch


class Guard(Coroutine[Any, Any, Any]):
    """Drives one coroutine of a body, counts its moves, and ends it when the body is closed.

    Once closed, whatever the coroutine awaits next (in an ``except`` or a ``finally`` block) is
    answered with BodyClosed instead of being awaited, so that no effect leaves a body whose run
    has left memory.
    """

    __slots__ = ("_coro", "_started", "path", "script", "task", "waiting_on")

    def __init__(self, script: Body, coro: Coroutine[Any, Any, Any], path: str) -> None:
        self._coro = coro
        self.path = path
        self._started = False
        self.script = script
        self.task: asyncio.Task[Any] | None = None
        self.waiting_on: object = None
        if script.guards:
            script.calm = False
        script.guards.add(self)

    def send(self, value: Any) -> Any:
        """Let it run to its next wait."""
        script = self.script
        if script.closed:
            return self._end()
        script.moves += 1
        self._started = True
        try:
            self.waiting_on = waiting_on = self._coro.send(value)
        except BaseException as error:
            self._ended(error)
            if isinstance(error, SystemExit):
                # Out of a task it would end the event loop, and every other run with it.
                raise ExecutionError(f"the body asked the program to exit: {error!r}") from error
            raise
        return waiting_on

    def throw(
        self,
        typ: Any,
        val: BaseException | object = None,
        tb: TracebackType | None = None,  # noqa: ARG002 - the protocol of coroutines
    ) -> Any:
        """Raise in it."""
        script = self.script
        if script.closed:
            return self._end()
        script.moves += 1
        self._started = True
        error: Any = typ if isinstance(typ, BaseException) else (val or typ())
        try:
            self.waiting_on = waiting_on = self._coro.throw(error)
        except BaseException as error:
            self._ended(error)
            if isinstance(error, SystemExit):
                # Out of a task it would end the event loop, and every other run with it.
                raise ExecutionError(f"the body asked the program to exit: {error!r}") from error
            raise
        return waiting_on

    def close(self) -> None:
        """Close it."""
        self.script.guards.discard(self)
        self._coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        """Run it as part of another coroutine."""
        return (yield from self._coro.__await__())

    def _ended(self, error: BaseException) -> None:
        self.script.guards.discard(self)
        if self.task is not None and not isinstance(error, StopIteration | asyncio.CancelledError):
            self.script.task_failed(self.task)
        self.task = None  # each holds the other: neither would go before the collector comes

    def _end(self) -> Any:
        self.script.guards.discard(self)
        if not self._started:
            self._coro.close()
            raise asyncio.CancelledError
        for _ in range(_THROWS):
            try:
                waiting_on = self._coro.throw(BodyClosed())
            except BaseException as error:
                # What a closed body makes of its end concerns nobody: its run goes on by replay.
                raise asyncio.CancelledError from error
            if asyncio.isfuture(waiting_on):
                waiting_on.add_done_callback(look_at)
        self.script.stuck(self)
        # Python would try to end it once more when nobody holds it.
        _stuck.append(self)
        raise asyncio.CancelledError

    def __getattr__(self, name: str) -> Any:
        # cr_frame, cr_code, __qualname__ and the like, for tracebacks and debuggers.
        if name == "_coro":
            raise AttributeError(name)
        return getattr(self._coro, name)


class _TaskFactory(Protocol):
    def __call__(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any
    ) -> asyncio.Future[Any]: ...


def _plain_task(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> asyncio.Future[Any]:
    return asyncio.Task(coro, loop=loop, **kwargs)


def look_at(future: asyncio.Future[Any]) -> None:
    """Nobody awaits it any more; asyncio shall not report that its exception was not retrieved."""
    if not future.cancelled():
        future.exception()


async def _result_of(future: asyncio.Future[Any]) -> Any:
    return await future


def spawn(
    branch: Branch,
    coro: Any,
    make: _TaskFactory = _plain_task,
    loop: asyncio.AbstractEventLoop | None = None,
    **kwargs: Any,
) -> asyncio.Future[Any]:
    """Make a task that is this branch of a body."""
    loop = loop or asyncio.get_running_loop()
    if asyncio.isfuture(coro):
        # TaskGroup.create_task(ctx.step(...)): a step is a future, a task wants a coroutine.
        coro = _result_of(coro)
    guard = Guard(branch.script, coro, branch.path)
    context = kwargs.pop("context", None) or copy_context()
    context.run(CURRENT.set, branch)
    task = make(loop, guard, context=context, **kwargs)
    guard.task = task if isinstance(task, asyncio.Task) else None
    return task


_sentinels: list[asyncio.Future[Any]] = []
"""One task per open runtime that only the end of its loop cancels, together with every other."""


async def _until_cancelled() -> None:
    await asyncio.get_running_loop().create_future()


def is_ending(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether ``asyncio.run`` has begun to cancel whatever is left on the loop."""
    for each in _sentinels:
        # What another task factory has made may be no task of asyncio's.
        if each.get_loop() is loop and isinstance(each, asyncio.Task) and each.cancelling():
            return True
    return False


class _Numbering:
    """The task factory of a loop on which runtimes are open.

    They share it: two would count every task twice, and the keys of a run would depend on how many
    runtimes there are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.users = 0
        self._previous = loop.get_task_factory()
        self.make = cast("_TaskFactory", self._previous or _plain_task)
        """What makes a task that is no body's."""
        loop.set_task_factory(self)

    def __call__(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any
    ) -> asyncio.Future[Any]:
        branch = CURRENT.get()
        if branch is None:
            if self._previous is None:
                return asyncio.Task(coro, loop=loop, **kwargs)
            return self.make(loop, coro, **kwargs)
        return spawn(branch.child(), coro, self.make, loop, **kwargs)

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """A runtime is closed; the last one puts back what was there before."""
        self.users -= 1
        if self.users:
            return
        del _numberings[loop]
        if loop.get_task_factory() is self and not loop.is_closed():
            loop.set_task_factory(self._previous)


_numberings: WeakKeyDictionary[asyncio.AbstractEventLoop, _Numbering] = WeakKeyDictionary()


def chain_task_factory(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Number the tasks of bodies on this loop from now on; returns what undoes it."""
    numbering = _numberings.get(loop)
    if numbering is None:
        numbering = _numberings[loop] = _Numbering(loop)
    numbering.users += 1
    sentinel = numbering.make(loop, _until_cancelled(), name="agnt5 sentinel")
    _sentinels.append(sentinel)

    def undo() -> None:
        _sentinels.remove(sentinel)
        if not loop.is_closed():
            sentinel.cancel()
        numbering.leave(loop)

    return undo
