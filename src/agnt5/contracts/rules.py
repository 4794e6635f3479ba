"""The contracts that users write: that something never, always, eventually or so often happens."""

from __future__ import annotations

from agnt5.contracts.contract import Contract, holds
from agnt5.contracts.observed import ContractEvent
from agnt5.contracts.patterns import Pattern, State, microseconds, pattern
from agnt5.contracts.verdicts import Verdict
from agnt5.exceptions import ConfigurationError


class _Safety(Contract):
    """Violated by the first event that matters; satisfied at the end."""

    def __init__(self, forbidden: Pattern, shown: str) -> None:
        self._forbidden = forbidden
        self._shown = shown

    def begin(self) -> State:
        return (self._forbidden.start(), False)

    def step(self, state: State, event: ContractEvent) -> State:
        inner, broken = state
        inner, matters = self._forbidden.step(inner, event)
        return (inner, broken or matters)

    def verdict(self, state: State) -> Verdict:
        return Verdict.VIOLATED if state[1] else Verdict.PENDING

    def end(self, state: State) -> Verdict:
        return holds(not state[1])

    def __repr__(self) -> str:
        return self._shown


class Never(_Safety):
    """No event is like this."""

    def __init__(self, given: Pattern | str) -> None:
        self._given = pattern(given)
        super().__init__(self._given, f"never({self._given!r})")

    def after(self, other: Pattern | str) -> Contract:
        """Not once the other has happened."""
        return Never(self._given.after(other))

    def before(self, other: Pattern | str) -> Contract:
        """Not until the other has happened."""
        return Never(self._given.before(other))

    def between(self, first: Pattern | str, last: Pattern | str) -> Contract:
        """Not after the first, as long as the last has not followed it."""
        return Never(self._given.between(first, last))


class Always(_Safety):
    """Every event is like this; or, with what follows, it always comes in time."""

    def __init__(self, given: Pattern | str) -> None:
        self._given = pattern(given)
        super().__init__(~self._given, f"always({self._given!r})")

    def before(self, other: Pattern | str) -> Contract:
        """Wherever the other happens, this has happened before."""
        late = pattern(other)
        return _Safety(late.before(self._given), f"{self!r}.before({late!r})")

    def between(self, first: Pattern | str, last: Pattern | str) -> Contract:
        """Wherever the last follows the first, this has happened between them."""
        opens, closes = pattern(first), pattern(last)
        shown = f"{self!r}.between({opens!r}, {closes!r})"
        return _Safety(closes.between(opens, self._given | closes), shown)


class Eventually(Contract):
    """It happens at least once, maybe in time; ``after`` says that it always follows."""

    def __init__(self, given: Pattern, limit_us: int | None = None) -> None:
        self._given = given
        self._limit_us = limit_us

    def after(self, other: Pattern | str) -> Contract:
        """Whenever the other has happened, it happens in a later event."""
        return _Follows(self._given, pattern(other), self._limit_us)

    def within(self, seconds: float) -> Eventually:
        """At most so long after the run was accepted; before ``after``: after the other happened.

        Raises:
            ConfigurationError: When it is no number of seconds, 0 or more.
        """
        return Eventually(self._given, microseconds(seconds))

    # A state: of the pattern, when the first event was, and whether it is decided.

    def begin(self) -> State:
        return (self._given.start(), None, None)

    def step(self, state: State, event: ContractEvent) -> State:
        given, first_at, decided = state
        given, happens = self._given.step(given, event)
        first_at = event.at if first_at is None else first_at
        if decided is None:
            is_late = _is_late(event.at, first_at, self._limit_us)
            decided = False if is_late else (True if happens else None)
        return (given, first_at, decided)

    def verdict(self, state: State) -> Verdict:
        return Verdict.PENDING if state[2] is None else holds(state[2])

    def end(self, state: State) -> Verdict:
        return holds(state[2] is True)

    def __repr__(self) -> str:
        return f"eventually({self._given!r}){_shown(self._limit_us)}"


class _Follows(Contract):
    """Whenever the trigger has happened, what is owed happens in a later event, maybe in time."""

    def __init__(self, owed: Pattern, trigger: Pattern, limit_us: int | None) -> None:
        self._owed = owed
        self._trigger = trigger
        self._limit_us = limit_us

    # A state: of the two patterns, since when it is owed (None: it is not), whether it came late.
    # What is owed since several events is owed since the first: one answers all of them.

    def begin(self) -> State:
        return (self._owed.start(), self._trigger.start(), None, False)

    def step(self, state: State, event: ContractEvent) -> State:
        owed, trigger, since, broken = state
        owed, happens = self._owed.step(owed, event)
        trigger, triggers = self._trigger.step(trigger, event)
        broken = broken or (since is not None and _is_late(event.at, since, self._limit_us))
        since = None if happens else since
        since = event.at if triggers and since is None else since
        return (owed, trigger, since, broken)

    def verdict(self, state: State) -> Verdict:
        return Verdict.VIOLATED if state[3] else Verdict.PENDING

    def end(self, state: State) -> Verdict:
        return holds(not state[3] and state[2] is None)

    def __repr__(self) -> str:
        return f"eventually({self._owed!r}){_shown(self._limit_us)}.after({self._trigger!r})"


def _is_late(at: int, since: int, limit_us: int | None) -> bool:
    return limit_us is not None and at - since > limit_us


def _shown(limit_us: int | None) -> str:
    return "" if limit_us is None else f".within({limit_us / 1e6:g})"


class _Count(Contract):
    def __init__(self, given: Pattern, least: int, most: int | None, shown: str) -> None:
        self._given = given
        self._least = least
        self._most = most
        self._shown = shown

    def begin(self) -> State:
        return (self._given.start(), 0)

    def step(self, state: State, event: ContractEvent) -> State:
        inner, count = state
        inner, matters = self._given.step(inner, event)
        return (inner, count + matters)

    def verdict(self, state: State) -> Verdict:
        if self._most is not None:
            return Verdict.VIOLATED if state[1] > self._most else Verdict.PENDING
        return Verdict.SATISFIED if state[1] >= self._least else Verdict.PENDING

    def end(self, state: State) -> Verdict:
        fits = self._most is None or state[1] <= self._most
        return holds(fits and state[1] >= self._least)

    def __repr__(self) -> str:
        return self._shown


# What users say.


def never(given: Pattern | str) -> Never:
    """No event is like this; with ``after``, ``before`` and ``between``, not at that time.

    >>> from agnt5.contracts import step
    >>> never("ship").before("pay")
    never('ship'.before('pay'))
    """
    return Never(given)


def always(given: Pattern | str) -> Always:
    """Every event is like this. Mostly with ``before`` or ``between``: it always comes in time.

    >>> always("approve").before("ship")
    always('approve').before('ship')
    """
    return Always(given)


def eventually(given: Pattern | str) -> Eventually:
    """It happens; with ``after``, whenever the other has happened; with ``within``, in time.

    >>> eventually("refund").within(60).after("cancel")
    eventually('refund').within(60).after('cancel')
    """
    return Eventually(pattern(given))


def at_most(count: int, given: Pattern | str) -> Contract:
    """It happens at most so often."""
    matters = pattern(given)
    return _Count(matters, 0, _checked(count), f"at_most({count}, {matters!r})")


def at_least(count: int, given: Pattern | str) -> Contract:
    """It happens at least so often."""
    matters = pattern(given)
    return _Count(matters, _checked(count), None, f"at_least({count}, {matters!r})")


def exactly(count: int, given: Pattern | str) -> Contract:
    """It happens just so often."""
    matters = pattern(given)
    return _Count(matters, _checked(count), count, f"exactly({count}, {matters!r})")


def at_most_once(given: Pattern | str) -> Contract:
    """It happens at most once."""
    matters = pattern(given)
    return _Count(matters, 0, 1, f"at_most_once({matters!r})")


def exactly_once(given: Pattern | str) -> Contract:
    """It happens once, neither more nor less often."""
    matters = pattern(given)
    return _Count(matters, 1, 1, f"exactly_once({matters!r})")


def _checked(count: int) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ConfigurationError(f"a count is a whole number, 0 or more, not {count!r}")
    return count
