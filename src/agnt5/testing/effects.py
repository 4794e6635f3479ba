"""A fake outside world that a test declares: what was done to it, by which step, how often."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from agnt5.actors.branch import CURRENT
from agnt5.actors.ports import UNDER_WAY
from agnt5.events.keys import SCOPE
from agnt5.exceptions import ConfigurationError
from agnt5.function_context import get_current_context
from agnt5.payloads import encode

Place = tuple[str, str]
"""A run and the key of a step of it."""


@dataclass(frozen=True)
class Effect:
    """Something that was done to the outside world."""

    sink: str
    """The name of the sink."""
    name: str
    details: str
    """What it was done with, as the source would spell it: ``amount=5``."""
    place: Place | None
    """The step under way; None: no step was."""
    in_body: bool
    """The body of a workflow did it itself."""
    line: str
    """``file:line`` of the call."""
    life: int = 0
    """In which incarnation of the runtime, from 0."""

    @property
    def what(self) -> str:
        """The effect without where and when."""
        return f"{self.name}({self.details})"


class Recorder(Protocol):
    """The simulation that user code runs in."""

    def meet(self, sink: Effects) -> None:
        """A sink is used: if it is new here, it begins empty."""
        ...

    def record(self, sink: Effects, effect: Effect) -> None:
        """Something was done."""
        ...


RECORDER: ContextVar[Recorder | None] = ContextVar("agnt5_effects", default=None)


class Effects:
    """Records what steps do to the outside world, and knows how often each may be done.

    By default an effect may be repeated by the same step (the service that it stands for tells a
    repetition by the idempotency key), but never be done by two steps where the calm run does it
    once, and never outside of a step.

    Args:
        name: How reports call it.
        exactly_once: Names of effects that the service cannot tell apart: each repetition is a
            bug, even by the same step. Such a step needs ``recovery="fail"``, ``"ask"`` or
            ``verify``, and no retries.
        any_number: Names of effects that may be repeated at will, such as a log line.

    Raises:
        ConfigurationError: When a name is in both.

    >>> bank = Effects()
    >>> bank.record("charge", amount=5)
    >>> bank.count("charge"), [each.what for each in bank.all]
    (1, ['charge(amount=5)'])
    """

    def __init__(
        self,
        name: str = "effects",
        *,
        exactly_once: Iterable[str] = (),
        any_number: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.exactly_once = _names(exactly_once, "exactly_once")
        self.any_number = _names(any_number, "any_number")
        if both := self.exactly_once & self.any_number:
            msg = f"effects cannot be exactly_once and any_number: {', '.join(sorted(both))}"
            raise ConfigurationError(msg)
        self._all: list[Effect] = []

    @property
    def all(self) -> list[Effect]:
        """Everything that was recorded since :meth:`clear`; in a simulation, since its start."""
        recorder = RECORDER.get()
        if recorder is not None:
            recorder.meet(self)
        return self._all

    def record(self, effect: str, /, **details: object) -> None:
        """Do something to the outside world.

        Args:
            effect: What, such as ``charge``.
            details: With what: values that a workflow could record.

        Raises:
            PayloadError: When a detail is no such value.
        """
        said = ", ".join(f"{name}={_spelt(value)}" for name, value in details.items())
        place, in_body = _place()
        done = Effect(self.name, effect, said, place, in_body, _line(2))
        recorder = RECORDER.get()
        if recorder is None:
            self.all.append(done)
        else:
            recorder.record(self, done)

    def count(self, effect: str) -> int:
        """How often an effect of this name was recorded, repetitions included."""
        return sum(each.name == effect for each in self.all)

    def happened(self, effect: str) -> bool:
        """Whether the step that is under way has done this, perhaps in an attempt before a crash.

        What ``verify`` functions ask a real service by the idempotency key.
        """
        place, _ = _place()
        return any(each.name == effect and each.place == place for each in self.all)

    def clear(self) -> None:
        """Forget everything."""
        self._all.clear()


def _names(given: Iterable[str], what: str) -> frozenset[str]:
    if isinstance(given, str):
        raise ConfigurationError(f"{what} takes a list of names of effects, not {given!r}")
    return frozenset(given)


def _spelt(value: object) -> str:
    encode(value, where="a detail of an effect")
    return repr(value)


def _place() -> tuple[Place | None, bool]:
    """The step under way here, and whether the body of a run calls by itself."""
    attempt = UNDER_WAY.get()
    if attempt is not None:
        return (attempt.run_id, attempt.key), False
    branch = CURRENT.get()
    if branch is None:
        return None, False
    key, scope, _ = branch.path.rpartition(SCOPE)
    # A workflow that is a step of another one has steps, and a body that is no step of its own.
    context = get_current_context()
    body = getattr(context, "called_by", None) or context
    is_step = bool(scope) and getattr(body, "scope", "") != key + scope
    return ((branch.script.run_id, key), False) if is_step else (None, True)


def _line(depth: int) -> str:
    frame = sys._getframe(depth)  # noqa: SLF001 - what traceback itself uses, without its cost
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
