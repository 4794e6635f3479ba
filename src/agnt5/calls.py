"""The arguments of a durable call: what was given, what is run and recorded, and from where."""

from __future__ import annotations

import asyncio
import inspect
import math
import sys
from collections.abc import AsyncGenerator
from typing import Any

from agnt5.actors.branch import CURRENT
from agnt5.actors.images import Arguments
from agnt5.actors.ports import InlineWork
from agnt5.actors.streams import collect
from agnt5.events.keys import SCOPE
from agnt5.exceptions import PayloadError
from agnt5.payloads import encode
from agnt5.registry import FunctionComponent
from agnt5.types import Json

MISSING: Any = type("Missing", (), {"__repr__": lambda _: "<not given>"})()
_LONGEST_S = 10 * 365 * 24 * 3600


class Call:
    """The arguments of a step, as they were given."""

    __slots__ = ("_timeout", "args", "key", "kwargs", "limit", "line", "place", "undo")

    def __init__(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        key: str | None,
        timeout: float | None,
        line: str,
        *,
        place: str | None = None,
        limit: float | None = None,
        undo: str | None = None,
    ) -> None:
        self.args = args
        self.kwargs = kwargs
        self.key = key
        self._timeout = timeout
        self.line = line
        self.place = place
        """Its identity, when that was fixed before: an item of a batch."""
        self.limit = limit
        """A timeout that no parameter of the function can be meant by."""
        self.undo = undo
        """The name of what a saga will call to undo it."""

    @property
    def has_key(self) -> bool:
        return self.key is not MISSING and self.key is not None

    def without_first(self) -> Call:
        return self.with_args(self.args[1:])

    def with_args(self, args: tuple[Any, ...]) -> Call:
        return Call(
            args,
            self.kwargs,
            self.key,
            self._timeout,
            self.line,
            place=self.place,
            limit=self.limit,
            undo=self.undo,
        )

    def timeout_us(self) -> int | None:
        if self._timeout is MISSING or self._timeout is None:
            return None if self.limit is None else microseconds(self.limit, "a timeout")
        return microseconds(self._timeout, "the timeout of a step")

    def arguments_for(self, function: FunctionComponent) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Keywords that the function takes itself are its own, not the step's."""
        kwargs = self.kwargs
        if self._timeout is not MISSING and function.takes("timeout"):
            kwargs = {**kwargs, "timeout": self._timeout}
            self._timeout = MISSING
        if self.key is not MISSING and function.takes("key"):
            kwargs = {**kwargs, "key": self.key}
            self.key = MISSING
        if len(kwargs) == 1 and "input" in kwargs and not function.takes("input"):
            given = kwargs["input"]
            if isinstance(given, dict) and all(function.takes(str(k)) for k in given):
                return self.args, {str(k): v for k, v in given.items()}
            return (*self.args, given), {}
        return self.args, kwargs


def is_awaitable(value: object) -> bool:
    return inspect.isawaitable(value) or inspect.isasyncgen(value)


def nothing() -> None:
    return None


async def _drained(generator: AsyncGenerator[Any, Any]) -> list[Any]:
    """The items of a generator, said on the way: this runs within the task of its inline step."""
    branch = CURRENT.get()
    body: Any = branch and branch.script
    step = branch.path.removesuffix(SCOPE) if branch else ""
    return await collect(generator, getattr(body, "streams", None), body.run_id, step, 0)


def _cancel_future(value: object) -> None:
    if asyncio.isfuture(value):
        value.cancel()


async def _awaited(value: Any) -> Any:
    if inspect.isasyncgen(value):
        return await _drained(value)
    return await value if inspect.isawaitable(value) else value


def inline_work(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> InlineWork:
    """A step that only the body can run. A callable is called on the loop, not on a thread."""
    if not is_awaitable(target):

        async def call() -> Any:
            return await _awaited(target(*args, **kwargs))

        return InlineWork(call, nothing, Arguments.of(args, kwargs))
    if inspect.iscoroutine(target):
        return InlineWork(lambda: target, target.close)
    return InlineWork(lambda: _awaited(target), lambda: _cancel_future(target))


def recorded_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Json:
    """Arguments as they lie on the log: for people, so what cannot be recorded is only named."""
    recorded: list[Json] = [_recorded(arg) for arg in args]
    if not kwargs:
        return recorded
    return {"args": recorded, "kwargs": {name: _recorded(arg) for name, arg in kwargs.items()}}


def _recorded(value: object) -> Json:
    try:
        return encode(value)
    except PayloadError:
        cls = type(value)
        return {"$": "opaque", "t": f"{cls.__module__}:{cls.__qualname__}"}


def microseconds(seconds: float, what: str) -> int:
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or seconds < 0:
        msg = f"{what} takes a number of seconds that is finite and not negative, not {seconds!r}"
        raise ValueError(msg)
    if seconds > _LONGEST_S:
        msg = f"{what} takes at most ten years, not {seconds!r} seconds"
        raise ValueError(msg)
    return math.ceil(seconds * 1_000_000)


_lines: dict[tuple[str, int], str] = {}


def line_of(depth: int) -> str:
    """The place in user code that called, ``file.py:12``."""
    frame = sys._getframe(depth)  # noqa: SLF001 - the documented way to find a caller cheaply
    place = (frame.f_code.co_filename, frame.f_lineno)
    known = _lines.get(place)
    if known is None:
        known = _lines[place] = f"{place[0].rpartition('/')[2]}:{place[1]}"
    return known
