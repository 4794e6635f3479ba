"""What contracts say: verdicts, and what is known of a violation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agnt5.contracts.observed import ContractEvent


class Verdict(StrEnum):
    """What is known of a contract."""

    PENDING = "pending"
    """It may come either way."""
    SATISFIED = "satisfied"
    VIOLATED = "violated"

    @property
    def turned(self) -> Verdict:
        """What it is of the contract's negation."""
        return _TURNED.get(self, self)


_TURNED = {Verdict.SATISFIED: Verdict.VIOLATED, Verdict.VIOLATED: Verdict.SATISFIED}


@dataclass(frozen=True, slots=True)
class Violation:
    """A contract was broken.

    Attributes:
        contract: The name of the contract.
        run_id: The run that broke it.
        event: The event at which that was known; the last one of the run, for what had to come
            before its end and did not.
        at_end: Whether it was the end of the run that decided it.
    """

    contract: str
    run_id: str
    event: ContractEvent
    at_end: bool = False

    def __str__(self) -> str:
        """The violation for people."""
        event = self.event
        what = f"{event.kind} {event.name!r}" if event.name else event.kind
        place = f" ({event.key})" if event.key else ""
        when = "at its end, " if self.at_end else ""
        where = f"event {event.version}, {what}{place}"
        return f"run {self.run_id} violates {self.contract}: {when}{where}"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a contract says of a history.

    Attributes:
        verdict: ``pending`` only if the run has not ended.
        violation: Where it was broken, if it was.
    """

    verdict: Verdict
    violation: Violation | None = None

    @property
    def is_violated(self) -> bool:
        """Whether the contract is broken."""
        return self.verdict is Verdict.VIOLATED

    def require(self) -> None:
        """Raise AssertionError with the violation, if there is one."""
        if self.violation is not None:
            raise AssertionError(str(self.violation))
