"""How user code finds itself inside a span: the port, and where the cast asks for it.

What does so, if anything, lies in the context of the house, so that a body, its steps and their
attempts find it wherever they run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Protocol

from agnt5.actors.ports import AttemptInfo
from agnt5.events.run.facts import RunQueued
from agnt5.events.traces import read_traceparent


class Tracing(Protocol):
    """Makes a span of a run the current one, in the context in which it is called."""

    def enter_body(self, info: AttemptInfo, is_replaying: Callable[[], bool]) -> None:
        """From here on it is the body of a run that calls."""
        ...

    def enter_attempt(self, info: AttemptInfo) -> None:
        """From here on it is an attempt of a step that calls."""
        ...

    def enter_inside(self, run_id: str, key: str, attempt: int | None) -> None:
        """From here on it is an inline step of the body, or the handler of an update, that calls.

        Nothing is entered where the run is not the one whose body was entered before.
        """
        ...

    def is_sampled(self, run_id: str, queued: RunQueued | None) -> bool | None:
        """Whether the spans of a run are wanted; None: there is nobody to ask."""
        ...

    def replayed(self, seconds: float) -> None:
        """A replay has come to its end."""
        ...


TRACING: ContextVar[Tracing | None] = ContextVar("agnt5_tracing", default=None)


def enter_attempt(info: AttemptInfo) -> None:
    """From here on it is an attempt of a step that calls."""
    tracing = TRACING.get()
    if tracing is not None:
        tracing.enter_attempt(info)


def enter_inside(context: Context, run_id: str, key: str, attempt: int | None = None) -> Context:
    """The context, inside an inline step (which may have several attempts) or an update."""
    tracing = context.get(TRACING)
    if tracing is not None:
        context.run(tracing.enter_inside, run_id, key, attempt)
    return context


def body_context(house: Context, info: AttemptInfo, is_replaying: Callable[[], bool]) -> Context:
    """A context for the body of a run."""
    context, tracing = house.copy(), house.get(TRACING)
    if tracing is not None:
        context.run(tracing.enter_body, info, is_replaying)
    return context


def is_sampled(run_id: str, queued: RunQueued | None) -> bool:
    """Whether a child of a run is to be told that its trace is wanted."""
    tracing = TRACING.get()
    decided = None if tracing is None else tracing.is_sampled(run_id, queued)
    if decided is not None:
        return decided
    # Nobody here makes spans: what the caller of the run has said stands, and else whoever makes
    # some later is to decide.
    caller = read_traceparent(queued.traceparent if queued else None)
    return caller is None or caller.sampled


def replayed(house: Context, seconds: float) -> None:
    """A replay has come to its end."""
    tracing = house.get(TRACING)
    if tracing is not None:
        tracing.replayed(seconds)
