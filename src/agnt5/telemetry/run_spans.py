"""The spans of one run: what is open is kept, what a fact ends is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agnt5.events.keys import enclosing_keys, is_of_update, name_of, update_branch
from agnt5.events.run import facts as f
from agnt5.events.traces import TraceParent, read_traceparent, span_id_of, trace_id_of
from agnt5.telemetry import spans as s
from agnt5.telemetry.spans import Attribute, SpanError, SpanEvent, SpanLink, SpanRecord

COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
RETRIED, ABANDONED, LOST, TIMED_OUT = "retried", "abandoned", "lost", "timed_out"
_LOST = SpanError(
    "agnt5.exceptions.UnknownOutcomeError", "the process ended while this attempt was under way"
)
_RESTS = f.RunQueued | f.RunParked | f.RunSuspended | f.RunForked
"""After these no attempt is under way."""
_LETTERS = f.SignalReceived | f.UserReplied | f.UpdateReceived | f.RunCancelRequested
"""These come whether anything is under way or not."""


@dataclass(slots=True)
class _Attempt:
    number: int
    began_at: int
    began_again: bool = False
    """A process ended while it was under way, and it was run again under the same number."""


@dataclass(slots=True)
class _Open:
    """An operation that has not ended."""

    kind: str
    name: str
    key: str
    parent_id: str
    began_at: int
    attributes: dict[str, Attribute]
    attempt: _Attempt | None = None
    last_attempt: int | None = None
    """The number of the last one that has ended."""
    due_at: int | None = None
    links: list[SpanLink] = field(default_factory=list)


class RunSpans:
    """Follows the facts of one run, in order."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.version = 0
        self.queued: f.RunQueued | None = None
        self.began_at = 0
        self._events: list[SpanEvent] = []
        self._links: list[SpanLink] = []
        """Of the run's own span: other spans that have to do with it."""
        self._open: dict[str, _Open] = {}
        self._senders: dict[str, str | None] = {}
        """Of signals that no call has consumed: the span in which they were sent."""
        self._rests = True
        """A fact says that nothing is under way, and none since that something is again."""
        self._is_paused = False

    def see(self, fact: f.RunFact, at: int) -> Sequence[SpanRecord]:
        """The spans that this fact ends."""
        self.version += 1
        if not isinstance(fact, _LETTERS):
            self._rests = isinstance(fact, _RESTS)
        match fact:
            case f.RunQueued():
                self._accept(fact, at)
            case f.StepScheduled():
                self._begin_step(fact, at)
            case f.StepStarted():
                return self._begin_attempt(fact, at)
            case f.StepAttemptFailed():
                return self._end_attempt(fact.key, at, RETRIED, s.error_of(fact.error))
            case f.StepCompleted():
                return self._complete_step(fact, at)
            case f.StepFailed():
                return self._fail_step(fact, at)
            case f.OperationCancelled():
                return self._abandon(fact.key, at)
            case f.RunCompleted() | f.RunFailed() | f.RunCancelled() | f.RunContinued():
                return self._finish(fact, at)
            case _:
                return self._see_wait(fact, at)
        return ()

    def _see_wait(self, fact: f.RunFact, at: int) -> Sequence[SpanRecord]:
        match fact:
            case f.TimerScheduled():
                name = name_of(fact.key) or "timer"
                self._begin(s.SLEEP, fact.key, at, name, fact.line, fact.due_at)
            case f.SignalAwaited():
                self._begin(s.SIGNAL, fact.key, at, fact.name, fact.line, fact.due_at)
            case f.SignalReceived():
                self._senders[fact.signal_id] = fact.traceparent
            case f.UserInputRequested():
                return self._ask(fact, at)
            case f.ChildStarted():
                self._begin(s.CHILD, fact.key, at, fact.component, fact.line)
                self._open[fact.key].attributes["agnt5.child.run.id"] = fact.child_run_id
            case f.UpdateReceived():
                self._begin_update(fact, at)
            case _:
                return self._see_end_of_wait(fact, at)
        return ()

    def _see_end_of_wait(self, fact: f.RunFact, at: int) -> Sequence[SpanRecord]:
        match fact:
            case f.SignalConsumed():
                return self._end(fact.key, at, COMPLETED, self._senders.pop(fact.signal_id, None))
            case f.UserReplied():
                return self._end(fact.key, at, COMPLETED, fact.traceparent)
            case f.ChildFinished():
                error = None if fact.status != FAILED else s.error_of(fact.error)
                return self._end(fact.key, at, fact.status, error=error)
            case f.UpdateAnswered():
                error = None if fact.error is None else s.error_of(fact.error)
                outcome = COMPLETED if error is None else FAILED
                return self._end(update_branch(fact.update_id), at, outcome, error=error)
            case f.TimerFired():
                return self._end(fact.key, at, COMPLETED)
            case f.SignalTimedOut() | f.UserInputExpired():
                return self._end(fact.key, at, TIMED_OUT)
            case _:
                self._note(fact, at)
                return ()

    def begin_again(self) -> None:
        """Another process goes on from here: what was under way was cut short, and is run again."""
        if not self._rests:
            for attempt in self._under_way():
                attempt.began_again = True

    def may_be_forgotten(self, last: f.RunFact) -> bool:
        """Whether nothing will be told of the run for long after this, its last fact."""
        if isinstance(last, f.Terminal | _RESTS):
            return True
        # What was under way when it was paused may still end.
        return self._is_paused and not self._under_way()

    def _under_way(self) -> list[_Attempt]:
        only_wait = {outer for key in self._open for outer in enclosing_keys(key)}
        return [
            each.attempt
            for each in self._open.values()
            if each.attempt is not None and each.key not in only_wait
        ]

    # Beginnings.

    def _accept(self, fact: f.RunQueued, at: int) -> None:
        self.queued, self.began_at = fact, at
        if fact.continues is not None:
            # Both were started in the same span, if in any.
            self._links.append(_to_run(fact.continues, fact.traceparent, "continues"))

    def _begin(
        self,
        kind: str,
        key: str,
        at: int,
        name: str,
        line: str | None = None,
        due_at: int | None = None,
    ) -> None:
        attributes: dict[str, Attribute] = {"agnt5.run.id": self.run_id, "agnt5.step.key": key}
        if line is not None:
            attributes["agnt5.line"] = line
        parent_id = self._parent_of(key)
        self._open[key] = _Open(kind, name, key, parent_id, at, attributes, due_at=due_at)

    def _begin_step(self, fact: f.StepScheduled, at: int) -> None:
        self._begin(s.STEP, fact.key, at, fact.name, fact.line)
        step = self._open[fact.key]
        step.attributes["agnt5.step.name"] = fact.name
        step.attributes["agnt5.step.recovery"] = fact.recovery
        if fact.function is not None:
            step.attributes["agnt5.step.function"] = fact.function
        if fact.recovery == "retry":
            step.attempt = _Attempt(0, at)

    def _begin_attempt(self, fact: f.StepStarted, at: int) -> Sequence[SpanRecord]:
        step = self._open.get(fact.key)
        if step is None:
            return ()
        lost = self._end_attempt(fact.key, at, LOST, _LOST)
        step.attempt = _Attempt(fact.attempt, at)
        return lost

    def _begin_update(self, fact: f.UpdateReceived, at: int) -> None:
        self._begin(s.UPDATE, update_branch(fact.update_id), at, fact.name)
        self._open[update_branch(fact.update_id)].links += _sender(fact.traceparent)

    def _ask(self, fact: f.UserInputRequested, at: int) -> Sequence[SpanRecord]:
        name = name_of(fact.key) or "question"
        self._begin(s.QUESTION, fact.key, at, name, fact.line, fact.due_at)
        self._open[fact.key].attributes["agnt5.question.type"] = fact.input_type
        # The engine asks because a crash has hidden what came of an attempt.
        return () if fact.about is None else self._end_attempt(fact.about, at, LOST, _LOST)

    def _parent_of(self, key: str) -> str:
        for outer in reversed(enclosing_keys(key)):
            if (step := self._open.get(outer)) is not None:
                number = None if step.attempt is None else step.attempt.number
                return span_id_of(self.run_id, outer, number)
        if is_of_update(key):
            for outer, each in self._open.items():
                if each.kind == s.UPDATE and key.startswith((f"{outer}:", f"{outer}/")):
                    return span_id_of(self.run_id, outer)
        return span_id_of(self.run_id)

    # Ends.

    def _complete_step(self, fact: f.StepCompleted, at: int) -> Sequence[SpanRecord]:
        step = self._open.get(fact.key)
        is_function = step is not None and "agnt5.step.function" in step.attributes
        if step is not None and step.attempt is not None and is_function and fact.duration_us:
            # It may have stood in the line of its executor before; an inline step has none.
            step.attempt.began_at = max(step.attempt.began_at, at - fact.duration_us)
        attempt = self._end_attempt(fact.key, at, COMPLETED)
        return [*attempt, *self._end(fact.key, at, COMPLETED)]

    def _fail_step(self, fact: f.StepFailed, at: int) -> Sequence[SpanRecord]:
        error = s.error_of(fact.error)
        outcome = LOST if error.type == _LOST.type else FAILED
        attempt = self._end_attempt(fact.key, at, outcome, error)
        return [*attempt, *self._end(fact.key, at, FAILED, error=error)]

    def _abandon(self, key: str, at: int) -> Sequence[SpanRecord]:
        return [*self._end_attempt(key, at, ABANDONED), *self._end(key, at, ABANDONED)]

    def _end_attempt(
        self, key: str, at: int, outcome: str, error: SpanError | None = None
    ) -> Sequence[SpanRecord]:
        step = self._open.get(key)
        if step is None or step.attempt is None:
            return ()
        attempt, step.attempt = step.attempt, None
        number = attempt.number
        attributes = {**step.attributes, "agnt5.attempt": number, "agnt5.outcome": outcome}
        if attempt.began_again:
            attributes["agnt5.attempt.began_again"] = True
        span_id = span_id_of(self.run_id, key, number)
        record = SpanRecord(
            s.ATTEMPT,
            f"attempt {step.name}",
            span_id,
            span_id_of(self.run_id, key),
            attempt.began_at,
            at,
            outcome,
            attributes,
            links=self._retried(step),
            error=error,
        )
        step.last_attempt = number
        return (record,)

    def _retried(self, step: _Open) -> tuple[SpanLink, ...]:
        """To the attempt before."""
        if step.last_attempt is None:
            return ()
        return (
            SpanLink(self._place(span_id_of(self.run_id, step.key, step.last_attempt)), "retry"),
        )

    def _end(
        self,
        key: str,
        at: int,
        outcome: str,
        sender: str | None = None,
        error: SpanError | None = None,
    ) -> Sequence[SpanRecord]:
        each = self._open.pop(key, None)
        if each is None:
            return ()
        is_over = outcome == TIMED_OUT or (each.kind == s.SLEEP and outcome == COMPLETED)
        record = SpanRecord(
            each.kind,
            each.kind if each.name == each.kind else f"{each.kind} {each.name}",
            span_id_of(self.run_id, key),
            each.parent_id,
            each.began_at,
            at,
            outcome,
            {**each.attributes, "agnt5.outcome": outcome},
            links=(*each.links, *_sender(sender)),
            error=error,
            late_us=at - each.due_at if is_over and each.due_at is not None else None,
        )
        return (record,)

    def _finish(self, fact: f.Terminal, at: int) -> Sequence[SpanRecord]:
        # What was asked for last is inside of what was asked for before.
        left = [span for key in reversed(list(self._open)) for span in self._abandon(key, at)]
        queued = self.queued
        if queued is None:
            return left
        error, outcome = None, CANCELLED
        if isinstance(fact, f.RunFailed):
            error, outcome = s.error_of(fact.error), FAILED
        elif isinstance(fact, f.RunCompleted | f.RunContinued):
            outcome = COMPLETED
        run = SpanRecord(
            s.RUN,
            run_name(queued),
            span_id_of(self.run_id),
            None,
            self.began_at,
            at,
            outcome,
            {**run_attributes(self.run_id, queued), "agnt5.outcome": outcome},
            tuple(self._events),
            tuple(self._links),
            error,
        )
        return [*left, run]

    def _note(self, fact: f.RunFact, at: int) -> None:
        match fact:
            case f.RunStarted():
                self._events.append(SpanEvent("started", at))
            case f.RunForked():
                self._fork(fact, at)
            case f.RunCancelRequested():
                self._links += _sender(fact.traceparent)
                self._events.append(SpanEvent("cancel_requested", at))
            case f.RunSuspended():
                self._events.append(SpanEvent("suspended", at, {"agnt5.reason": fact.reason}))
            case f.RunPaused():
                self._is_paused = True
                self._events.append(SpanEvent("paused", at))
            case f.RunResumed():
                self._is_paused = False
                self._events.append(SpanEvent("resumed", at))
            case _:
                pass

    def _fork(self, fact: f.RunForked, at: int) -> None:
        """What was copied was told where it happened. What is open is the fork's from here on."""
        self.began_at, self._is_paused = at, False
        self._events = []
        self._links = [_to_run(fact.origin, fact.origin_traceparent, "fork")]
        for each in self._open.values():
            each.began_at = at
            each.last_attempt = None  # it is the origin's
            if each.attempt is not None:
                each.attempt.began_at = at

    def _place(self, span_id: str) -> TraceParent:
        traceparent = self.queued.traceparent if self.queued else None
        return TraceParent(trace_id_of(self.run_id, traceparent), span_id, sampled=True)


def run_name(queued: f.RunQueued) -> str:
    """The name of a run's span."""
    return f"{queued.kind} {queued.component}"


def run_attributes(run_id: str, queued: f.RunQueued) -> dict[str, Attribute]:
    """What is said of a run. Nothing that its caller has brought, but the session."""
    given: dict[str, Attribute | None] = {
        "agnt5.run.id": run_id,
        "agnt5.component": queued.component,
        "agnt5.component.kind": queued.kind,
        "agnt5.version": queued.version_label,
        "agnt5.queue": queued.queue,
        "agnt5.parent.run.id": queued.parent_run_id,
        "agnt5.replaces.run.id": queued.replaces,
        "session.id": queued.session_id,
    }
    trigger = (queued.origin or {}).get("type")
    if isinstance(trigger, str):
        given["agnt5.trigger"] = trigger
    return {name: value for name, value in given.items() if value is not None}


def _to_run(run_id: str, traceparent: str | None, why: str) -> SpanLink:
    place = TraceParent(trace_id_of(run_id, traceparent), span_id_of(run_id), sampled=True)
    return SpanLink(place, why)


def _sender(traceparent: str | None) -> tuple[SpanLink, ...]:
    sender = read_traceparent(traceparent)
    return () if sender is None else (SpanLink(sender, "sender"),)
