"""The events that contracts speak of: one per recorded fact, with the name of what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue

from agnt5.events.codec import decode_fact
from agnt5.events.log import StoredFact
from agnt5.events.run import facts as f
from agnt5.histories import History
from agnt5.payloads import decode

Source = History | Iterable[StoredFact | tuple[f.RunFact, int]]
"""Where events come from: a history, rows of a store, or facts with their times."""


@dataclass(frozen=True, slots=True)
class ContractEvent:
    """One thing that happened in a run.

    Attributes:
        run_id: The run.
        version: Its number in the run, from 1.
        at: When it was decided, microseconds since the epoch.
        kind: The fact, such as ``StepCompleted``, see the reference of events.
        name: Of what it is about: the step, the signal, the component of a child, the type of an
            emitted event, the update, the question; empty where there is no such thing.
        key: The durable call that it is about, or None.
        payload: What it brings, as it is recorded: the output, the payload, the answer, the error;
            the input of what is asked for, and of the run.
        fact: The fact itself.
    """

    run_id: str
    version: int
    at: int
    kind: str
    name: str
    key: str | None
    payload: JsonValue
    fact: f.RunFact

    @property
    def value(self) -> object:
        """The payload as Python made it, with its types.

        Raises:
            PayloadError: When it cannot be rebuilt with the code that is here.
        """
        return decode(self.payload, where=f"{self.kind} of run {self.run_id}")


@dataclass(slots=True)
class Observer:
    """Reads the facts of one run in order, and remembers the names of open calls."""

    run_id: str
    version: int = 0
    _names: dict[str, str] = field(default_factory=dict)

    def see(self, fact: f.RunFact, at: int) -> ContractEvent:
        """The event that the next fact is."""
        self.version += 1
        key: str | None = getattr(fact, "key", None)
        name, payload = self._about(fact, key or "")
        kind = type(fact).__name__
        return ContractEvent(self.run_id, self.version, at, kind, name, key, payload, fact)

    def _about(self, fact: f.RunFact, key: str) -> tuple[str, JsonValue]:
        match fact:
            case _ if isinstance(fact, f.Request):
                name, payload = _asked(fact)
                self._names[key] = name
                return name, payload
            case f.StepStarted() | f.StepAttemptFailed():
                return self._names.get(key, ""), getattr(fact, "error", None)
            case f.OperationCancelled() | f.SignalReturned():
                return self._names.pop(key, ""), None
            case _ if isinstance(fact, f.Outcome):
                return self._names.pop(key, ""), _outcome(fact)
            case _:
                return _other(fact)


def _asked(fact: f.Request) -> tuple[str, JsonValue]:
    match fact:
        case f.StepScheduled():
            return fact.name, fact.input
        case f.SignalAwaited():
            return fact.name, None
        case f.UserInputRequested():
            return fact.question, None
        case f.ChildStarted():
            return fact.component, fact.input
        case f.TimerScheduled():
            return "", fact.due_at


def _outcome(fact: f.Outcome) -> JsonValue:
    match fact:
        case f.StepCompleted():
            return fact.output
        case f.StepFailed():
            return fact.error
        case f.SignalConsumed():
            return fact.payload
        case f.UserReplied() | f.UserInputExpired():
            return fact.answer
        case f.ChildFinished():
            return fact.output if fact.status == "completed" else fact.error
        case f.TimerFired() | f.SignalTimedOut():
            return None


def _other(fact: f.RunFact) -> tuple[str, JsonValue]:
    match fact:
        case f.RunQueued():
            return fact.component, fact.input
        case f.SignalReceived() | f.UpdateReceived():
            return fact.name, fact.payload
        case f.UpdateAnswered():
            return fact.update_id, fact.output if fact.error is None else fact.error
        case f.EventEmitted():
            return fact.event_type, fact.payload
        case f.StateChanged():
            return fact.name, fact.value
        case f.MarkerRecorded():
            return fact.key, fact.value
        case _:
            return "", _of_run(fact)


def _of_run(fact: f.RunFact) -> JsonValue:
    match fact:
        case f.RunCompleted():
            return fact.output
        case f.RunFailed():
            return fact.error
        case f.RunCancelled() | f.RunCancelRequested() | f.RunSuspended():
            return fact.reason
        case _:
            return None


def events_of(source: Source, run_id: str = "") -> Iterator[ContractEvent]:
    """The events of one run, from whatever has them.

    Raises:
        StoreError: When a row cannot be read.
    """
    if isinstance(source, History):
        run_id, source = source.run_id, source.events
    observer = Observer(run_id)
    for each in source:
        if isinstance(each, StoredFact):
            observer.run_id = each.stream
            yield observer.see(decode_fact(each), each.at)
        else:
            yield observer.see(*each)
