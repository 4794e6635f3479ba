"""Patterns: whether an event matters, by itself and by what came before it.

A formula of past-time linear temporal logic, as a monitor: the state that it needs has the size of
the formula, whatever the length of the history, and an event costs one step of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from agnt5.contracts.observed import ContractEvent
from agnt5.events.run.facts import RUN_FACTS
from agnt5.exceptions import ConfigurationError

State = Any
"""Of a monitor: plain, immutable values. Only the monitor that made it knows what it means."""

Test = Callable[[ContractEvent], bool]


class Pattern(ABC):
    """Whether an event matters. Combine with ``&``, ``|``, ``~``, and by time with what follows.

    >>> from agnt5.contracts import step
    >>> step("charge").after("refund")
    step('charge').after('refund')
    """

    @abstractmethod
    def start(self) -> State:
        """The state before the first event."""

    @abstractmethod
    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        """The state after an event, and whether the event matters."""

    def __and__(self, other: Pattern | str) -> Pattern:
        """Both."""
        return _Both(self, pattern(other))

    def __or__(self, other: Pattern | str) -> Pattern:
        """One or the other, or both."""
        return _Either(self, pattern(other))

    def __invert__(self) -> Pattern:
        """Not."""
        return _Not(self)

    def where(self, test: Test) -> Pattern:
        """And only if this is true of the event; it must not depend on anything else."""
        return _Where(self, test)

    def after(self, other: Pattern | str) -> Pattern:
        """And only if the other was there before, in an earlier event."""
        given = pattern(other)
        return _Shown(self & _Once(given), f"{self!r}.after({given!r})")

    def before(self, other: Pattern | str) -> Pattern:
        """And only if the other was not there before, in an earlier event."""
        given = pattern(other)
        return _Shown(self & ~_Once(given), f"{self!r}.before({given!r})")

    def between(self, first: Pattern | str, last: Pattern | str) -> Pattern:
        """And only if the first was there before, and the last was not since."""
        since, until = pattern(first), pattern(last)
        return _Shown(self & _Since(since, until), f"{self!r}.between({since!r}, {until!r})")

    def within(self, seconds: float) -> Within:
        """Continue with ``after``: and only if the other was there, at most so long ago."""
        return Within(self, seconds)

    @property
    def again(self) -> Pattern:
        """And only if it was there before: its second time, and each later one."""
        return _Shown(self & _Once(self), f"{self!r}.again")


class Within:
    """A pattern with a limit of time that waits for what it counts from."""

    def __init__(self, of: Pattern, seconds: float) -> None:
        self._of = of
        self._us = microseconds(seconds)

    def after(self, other: Pattern | str) -> Pattern:
        """At most so long after the last time of the other."""
        given = pattern(other)
        shown = f"{self._of!r}.within({self._us / 1e6:g}).after({given!r})"
        return _Shown(self._of & _Recently(given, self._us), shown)


def microseconds(seconds: float) -> int:
    """A limit of time.

    Raises:
        ConfigurationError: When it is no number of seconds, 0 or more.
    """
    known = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not known or not 0 <= seconds < float("inf"):
        raise ConfigurationError(f"within takes seconds, 0 or more, not {seconds!r}")
    return round(seconds * 1e6)


class Atom(Pattern):
    """A pattern that looks at the event alone."""

    def __init__(self, test: Test, shown: str) -> None:
        self._test = test
        self._shown = shown

    def start(self) -> State:
        """It needs none."""
        return None

    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        """Look at the event."""
        del state
        return None, bool(self._test(event))

    def __repr__(self) -> str:
        return self._shown


class _Shown(Pattern):
    """A pattern that is written as its user has written it."""

    def __init__(self, of: Pattern, shown: str) -> None:
        self._of = of
        self._text = shown

    def start(self) -> State:
        """See the pattern that is shown."""
        return self._of.start()

    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        """See the pattern that is shown."""
        return self._of.step(state, event)

    def __repr__(self) -> str:
        return self._text


class _Where(Pattern):
    """A pattern, and of its events only some; of others the test is never asked."""

    def __init__(self, of: Pattern, test: Test) -> None:
        self._of = of
        self._test = test

    def start(self) -> State:
        return self._of.start()

    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        state, matters = self._of.step(state, event)
        return state, matters and bool(self._test(event))

    def __repr__(self) -> str:
        return f"{self._of!r}.where({_name_of(self._test)})"


class _Not(Pattern):
    def __init__(self, of: Pattern) -> None:
        self._of = of

    def start(self) -> State:
        return self._of.start()

    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        state, matters = self._of.step(state, event)
        return state, not matters

    def __repr__(self) -> str:
        return f"~{self._of!r}"


class _Two(Pattern, ABC):
    sign: str

    def __init__(self, one: Pattern, other: Pattern) -> None:
        self._one = one
        self._other = other

    def start(self) -> State:
        return (self._one.start(), self._other.start())

    def both(self, state: State, event: ContractEvent) -> tuple[State, bool, bool]:
        # Both take every event, whatever the first one says: they remember what they have seen.
        one, is_one = self._one.step(state[0], event)
        other, is_other = self._other.step(state[1], event)
        return (one, other), is_one, is_other

    def __repr__(self) -> str:
        return f"({self._one!r} {self.sign} {self._other!r})"


class _Both(_Two):
    sign = "&"

    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        state, one, other = self.both(state, event)
        return state, one and other


class _Either(_Two):
    sign = "|"

    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        state, one, other = self.both(state, event)
        return state, one or other


class _Once(Pattern):
    """It was there in an earlier event."""

    def __init__(self, of: Pattern) -> None:
        self._of = of

    def start(self) -> State:
        return (self._of.start(), False)

    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        inner, was = state
        inner, now = self._of.step(inner, event)
        return (inner, was or now), was


class _Since(Pattern):
    """The first was there in an earlier event, and between that one and this the last was not."""

    def __init__(self, first: Pattern, last: Pattern) -> None:
        self._first = first
        self._last = last

    def start(self) -> State:
        return (self._first.start(), self._last.start(), False)

    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        first, last, holds = state
        first, opens = self._first.step(first, event)
        last, closes = self._last.step(last, event)
        return (first, last, opens or (holds and not closes)), holds


class _Recently(Pattern):
    """It was there in an earlier event, at most so long ago."""

    def __init__(self, of: Pattern, limit_us: int) -> None:
        self._of = of
        self._limit_us = limit_us

    def start(self) -> State:
        return (self._of.start(), None)

    def step(self, state: State, event: ContractEvent) -> tuple[State, bool]:
        inner, last = state
        inner, now = self._of.step(inner, event)
        recently = last is not None and event.at - last <= self._limit_us
        return (inner, event.at if now else last), recently


# What users name.

_DONE: Final = frozenset(
    {
        "StepCompleted",
        "SignalReceived",
        "EventEmitted",
        "ChildFinished",
        "UpdateReceived",
    }
)


def pattern(given: Pattern | str) -> Pattern:
    """A pattern, or what has this name.

    Raises:
        ConfigurationError: When it is neither.
    """
    if isinstance(given, Pattern):
        return given
    if isinstance(given, str) and given:
        return named(given)
    raise ConfigurationError(f"a pattern or a name is expected, not {given!r}")


def named(name: str) -> Pattern:
    """What has this name: a step that completed, a signal, update or emitted event, an ended child.

    A text where a pattern is expected means the same.
    """
    return Atom(lambda event: event.name == name and event.kind in _DONE, repr(name))


class StepPattern(Atom):
    """The steps of a name that completed; its attributes are other moments of them."""

    def __init__(self, name: str) -> None:
        super().__init__(_is("StepCompleted", name), f"step({name!r})")
        self._name = name

    @property
    def requested(self) -> Pattern:
        """The body asked for it."""
        return Atom(_is("StepScheduled", self._name), f"{self!r}.requested")

    @property
    def failed(self) -> Pattern:
        """It failed for good."""
        return Atom(_is("StepFailed", self._name), f"{self!r}.failed")

    @property
    def attempted(self) -> Pattern:
        """An attempt begins, or at least may: its effect may happen from now on, once more."""
        return Atom(self._is_attempt, f"{self!r}.attempted")

    def _is_attempt(self, event: ContractEvent) -> bool:
        if event.name != self._name:
            return False
        # The first attempt needs no word of its own unless its policy wants one.
        at_once = event.kind == "StepScheduled" and getattr(event.fact, "recovery", "") == "retry"
        return at_once or event.kind == "StepStarted"


def step(name: str) -> StepPattern:
    """The steps of this name that completed; see :class:`StepPattern` for their other moments."""
    return StepPattern(name)


def signal(name: str) -> Pattern:
    """A signal of this name came, whether or not the run waits for it."""
    return Atom(_is("SignalReceived", name), f"signal({name!r})")


def asked(question: str) -> Pattern:
    """A person was asked this."""
    return Atom(_is("UserInputRequested", question), f"asked({question!r})")


def child(component: str) -> Pattern:
    """A child run of this component has ended."""
    return Atom(_is("ChildFinished", component), f"child({component!r})")


def emitted(event_type: str) -> Pattern:
    """The body emitted an event of this type."""
    return Atom(_is("EventEmitted", event_type), f"emitted({event_type!r})")


def update(name: str) -> Pattern:
    """An update of this name came."""
    return Atom(_is("UpdateReceived", name), f"update({name!r})")


_KINDS: Final = frozenset(each.__name__ for each in RUN_FACTS)
_ENDS = {
    "completed": "RunCompleted",
    "failed": "RunFailed",
    "cancelled": "RunCancelled",
    "continued": "RunContinued",
}


def run(status: str) -> Pattern:
    """The run has ended so: ``completed``, ``failed``, ``cancelled`` or ``continued``.

    Raises:
        ConfigurationError: When it is none of them.
    """
    kind = _ENDS.get(status)
    if kind is None:
        raise ConfigurationError(f"a run ends {', '.join(_ENDS)}; not {status!r}")
    return Atom(_is(kind), f"run({status!r})")


def fact(kind: str, name: str | None = None) -> Pattern:
    """A recorded fact of this kind, such as ``TimerFired``; with a name, only of what has it.

    Raises:
        ConfigurationError: When there is no such kind.
    """
    if kind not in _KINDS:
        raise ConfigurationError(f"there is no kind of event {kind!r}; docs/reference/events.md")
    shown = f"fact({kind!r})" if name is None else f"fact({kind!r}, {name!r})"
    return Atom(_is(kind, name), shown)


def _is(kind: str, name: str | None = None) -> Test:
    if name is None:
        return lambda event: event.kind == kind
    return lambda event: event.kind == kind and event.name == name


def _name_of(test: Test) -> str:
    return getattr(test, "__name__", "...").replace("<lambda>", "...")
