"""A contract: what must be true of a whole history, as a monitor with three verdicts.

Formulas of linear temporal logic on finite traces (De Giacomo and Vardi, 2013) over patterns. While
a run goes on a verdict may be pending; its end decides every one of them. A verdict that is not
pending is final: no event that follows can change it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable

from agnt5.contracts.observed import ContractEvent, Source, events_of
from agnt5.contracts.patterns import State
from agnt5.contracts.verdicts import Checked, Verdict, Violation
from agnt5.events.run.facts import Terminal
from agnt5.exceptions import ConfigurationError


class Contract(ABC):
    """What must hold of every history of a run. Combine with ``&``, ``|`` and ``~``.

    It is a monitor: :meth:`begin`, :meth:`step` for each event, :meth:`verdict` at any time, and
    :meth:`end` when the run has ended. All of them are pure; a state belongs to one run.

    >>> from agnt5.contracts import at_most_once, never, step
    >>> never(step("charge").after("refund")) & at_most_once("ship")
    never(step('charge').after('refund')) & at_most_once('ship')
    """

    _name: str | None = None

    @abstractmethod
    def begin(self) -> State:
        """The state before the first event."""

    @abstractmethod
    def step(self, state: State, event: ContractEvent) -> State:
        """The state after one more event."""

    @abstractmethod
    def verdict(self, state: State) -> Verdict:
        """What is known while the run goes on."""

    @abstractmethod
    def end(self, state: State) -> Verdict:
        """What it comes to when no more events follow: satisfied or violated."""

    @property
    def name(self) -> str:
        """What it is called in reports: itself, unless it was given another name."""
        return self._name or repr(self)

    def called(self, name: str) -> Contract:
        """The same contract, by a name of its own.

        Raises:
            ConfigurationError: When the name is no text, or empty.
        """
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"the name of a contract is a text, not {name!r}")
        return _Called(self, name)

    def per(self, key: Callable[[ContractEvent], Hashable | None]) -> Contract:
        """The same contract for each value of a key, apart: of the events that have that value.

        Args:
            key: The value, such as the customer in an event's payload; None: the event has none,
                and counts for no value.
        """
        return _Per(self, key)

    def check(self, source: Source) -> Checked:
        """What the contract says of a history. One whose run has not ended may be pending.

        Args:
            source: A :class:`agnt5.History`, rows of a store, or facts with their times.
        """
        state, last = self.begin(), None
        for event in events_of(source):
            state, last = self.step(state, event), event
            if self.verdict(state) is Verdict.VIOLATED:
                return Checked(Verdict.VIOLATED, Violation(self.name, event.run_id, event))
        if last is None or not isinstance(last.fact, Terminal):
            return Checked(self.verdict(state))
        verdict = self.end(state)
        violated = Violation(self.name, last.run_id, last, at_end=True)
        return Checked(verdict, violated if verdict is Verdict.VIOLATED else None)

    def __and__(self, other: Contract) -> Contract:
        """Both hold."""
        return _All(self, other)

    def __or__(self, other: Contract) -> Contract:
        """At least one holds."""
        return _Any(self, other)

    def __invert__(self) -> Contract:
        """It does not hold."""
        return _Not(self)


class _Called(Contract):
    def __init__(self, of: Contract, name: str) -> None:
        self._of = of
        self._name = name

    def begin(self) -> State:
        return self._of.begin()

    def step(self, state: State, event: ContractEvent) -> State:
        return self._of.step(state, event)

    def verdict(self, state: State) -> Verdict:
        return self._of.verdict(state)

    def end(self, state: State) -> Verdict:
        return self._of.end(state)

    def __repr__(self) -> str:
        return repr(self._of)


class _Not(_Called):
    def __init__(self, of: Contract) -> None:
        super().__init__(of, "")

    def verdict(self, state: State) -> Verdict:
        return self._of.verdict(state).turned

    def end(self, state: State) -> Verdict:
        return self._of.end(state).turned

    def __repr__(self) -> str:
        return f"~({self._of!r})"


class _Two(Contract, ABC):
    decisive: Verdict
    """One part with this verdict is enough for the whole."""
    sign: str

    def __init__(self, one: Contract, other: Contract) -> None:
        self._parts = (one, other)

    def begin(self) -> State:
        return tuple(part.begin() for part in self._parts)

    def step(self, state: State, event: ContractEvent) -> State:
        return tuple(part.step(each, event) for part, each in zip(self._parts, state, strict=True))

    def verdict(self, state: State) -> Verdict:
        pairs = zip(self._parts, state, strict=True)
        return self._joined({part.verdict(each) for part, each in pairs})

    def end(self, state: State) -> Verdict:
        pairs = zip(self._parts, state, strict=True)
        return self._joined({part.end(each) for part, each in pairs})

    def _joined(self, verdicts: set[Verdict]) -> Verdict:
        for each in (self.decisive, Verdict.PENDING):
            if each in verdicts:
                return each
        return self.decisive.turned

    def __repr__(self) -> str:
        return self.sign.join(
            f"({part!r})" if isinstance(part, _Two) else repr(part) for part in self._parts
        )


class _All(_Two):
    decisive = Verdict.VIOLATED
    sign = " & "


class _Any(_Two):
    decisive = Verdict.SATISFIED
    sign = " | "


class _Per(Contract):
    def __init__(self, of: Contract, key: Callable[[ContractEvent], Hashable | None]) -> None:
        self._of = of
        self._key = key

    # A state: the states of values that are not decided yet, and whether one was violated.

    def begin(self) -> State:
        return ({}, False)

    def step(self, state: State, event: ContractEvent) -> State:
        value = self._key(event)
        states, broken = state
        if value is None or broken:
            return state
        before = states[value] if value in states else self._of.begin()
        after = self._of.step(before, event)
        return ({**states, value: after}, self._of.verdict(after) is Verdict.VIOLATED)

    def verdict(self, state: State) -> Verdict:
        return Verdict.VIOLATED if state[1] else Verdict.PENDING

    def end(self, state: State) -> Verdict:
        ends = (self._of.end(each) for each in state[0].values())
        return holds(not state[1] and all(end is Verdict.SATISFIED for end in ends))

    def __repr__(self) -> str:
        return f"({self._of!r}).per({getattr(self._key, '__name__', '...')})"


def holds(satisfied: bool) -> Verdict:
    """The verdict on something that is decided."""
    return Verdict.SATISFIED if satisfied else Verdict.VIOLATED
