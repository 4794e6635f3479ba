"""Runs as clients see them: state and index rows to responses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from agnt5.events.index import RunRow
from agnt5.events.log import EventLog, StoredFact
from agnt5.events.projections import status_of
from agnt5.events.run.facts import RunQueued
from agnt5.events.run.state import RunState, fold
from agnt5.events.shredded import decode_shown, show_history
from agnt5.events.vocabulary import PublicEvent, public_events
from agnt5.payloads import decode, decode_error
from agnt5.responses import (
    Event,
    EventsResponse,
    RunErrorDetail,
    RunResponse,
    RunStatus,
    StatusResponse,
)


def when(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)


def maybe(at: int | None) -> datetime | None:
    return None if at is None else when(at)


def response_of(state: RunState) -> RunResponse:
    """A run as clients see it."""
    queued = state.queued
    status = status_of(state)
    response = RunResponse(
        state.run_id,
        202,
        RunStatus(status),
        component=queued.component if queued else None,
        created_at=when(state.created_at),
        started_at=maybe(state.started_at),
        session_id=queued.session_id if queued else None,
        metadata=_metadata(state.run_id, queued),
        trace_id=state.trace_id,
    )
    if state.finished_at is not None:
        begun = state.started_at or state.created_at
        response.duration_ms = (state.finished_at - begun) // 1000
    match status:
        case "completed":
            response.status_code = 200
            response.output = decode(state.output, where=f"output of run {state.run_id}")
            response.completed_at = maybe(state.finished_at)
        case "failed":
            _describe_failure(response, state)
        case "cancelled":
            reason = state.cancel_reason or "no reason was given"
            response.status_code = 500
            response.error = RunErrorDetail("CANCELLED", f"the run was cancelled: {reason}")
        case "continued":
            response.status_code = 200
            response.successor = state.successor
            response.completed_at = maybe(state.finished_at)
        case "suspended" if state.suspension is not None:
            codes = {"nondeterminism": "NON_DETERMINISTIC_REPLAY"}
            code = codes.get(state.suspension.reason, state.suspension.reason.upper())
            response.error = RunErrorDetail(code, state.suspension.report)
        case "paused" if state.pause is not None:
            why = "" if state.pause.reason is None else f": {state.pause.reason}"
            message = f"run {state.run_id} is paused{why}; client.resume(run_id) lets it go on"
            response.error = RunErrorDetail("PAUSED", message)
        case "awaiting_user_input":
            response.status = RunStatus.PAUSED
            asked = _questions(state)
            # What the caller attached to the run keeps its name.
            response.metadata = {**asked[0], "questions": asked, **response.metadata}
        case _:
            pass
    return response


def answer_of(log: EventLog, row: RunRow) -> RunResponse:
    """A run that has ended, or cannot go on by itself, as clients see it."""
    run_id = row.run_id
    if row.finished_at is None:
        return response_of(fold(run_id, show_history(log.read(run_id))))
    # What a finished run answers with is in its first and its last fact.
    last = log.last(run_id)
    ends = [*log.read(run_id, upto=1), *([last] if last else [])]
    state = fold(run_id, show_history(ends))
    state.started_at = row.started_at
    return response_of(state)


def unready(row: RunRow) -> RunResponse:
    """A run that has no result yet, and goes on by itself."""
    return RunResponse(
        row.run_id,
        HTTPStatus.ACCEPTED,
        RunStatus(row.status),
        error=RunErrorDetail("NOT_READY", f"run {row.run_id} is {row.status}"),
        trace_id=row.trace_id,
        component=row.component,
        created_at=when(row.created_at),
        started_at=maybe(row.started_at),
        session_id=row.session_id,
    )


def _metadata(run_id: str, queued: RunQueued | None) -> dict[str, Any]:
    recorded = queued.metadata if queued else None
    given: Any = decode(recorded, where=f"metadata of run {run_id}") if recorded else {}
    return dict(given)


def _describe_failure(response: RunResponse, state: RunState) -> None:
    failure = state.failure
    if failure is None:
        return
    error = decode_error(failure.error)
    if failure.attempts is not None:
        response.metadata["attempts"] = failure.attempts
        response.metadata["max_attempts"] = failure.max_attempts
    code = getattr(error, "code", None)
    text = str(error)
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    response.status_code = 500
    response.failed_at = maybe(state.finished_at)
    response.error = RunErrorDetail(code if isinstance(code, str) else "EXECUTION_ERROR", named)


def _questions(state: RunState) -> list[dict[str, Any]]:
    asked = [op.question for op in state.open.values() if op.question is not None]
    return [
        {
            "key": question.key,
            "question": question.question,
            "input_type": question.input_type,
            "options": question.options,
            "allow_custom": question.allow_custom,
            "skippable": question.skippable,
            "assignees": question.assignees,
            "due_at": maybe(question.due_at),
            "on_timeout": question.on_timeout,
            "shown": question.shown,
        }
        for question in asked
    ]


def status_response(row: RunRow) -> StatusResponse:
    """Where a run is."""
    return StatusResponse(
        row.run_id,
        HTTPStatus.OK if row.finished_at else HTTPStatus.ACCEPTED,
        RunStatus(row.status),
        row.trace_id,
        row.component,
        when(row.created_at),
        maybe(row.started_at),
        maybe(row.finished_at),
        row.kind,
        row.version_label,
        row.session_id,
        row.user_id,
        row.parent_run_id,
        row.continued_to,
    )


def events_response(row: RunRow, stored: Sequence[StoredFact]) -> EventsResponse:
    """The recorded events of a run, in the public vocabulary."""
    facts = [decode_shown(fact) for fact in stored]
    items = [
        event
        for origin, events in zip(stored, public_events(row.kind, facts), strict=True)
        for event in events_of(origin, events, row.trace_id)
    ]
    return EventsResponse(items)


def events_of(
    origin: StoredFact, events: Sequence[PublicEvent], trace_id: str | None
) -> list[Event]:
    """The events that a stored fact stands for, as clients get them."""
    return [
        Event(
            id=f"{origin.event_id}.{n}" if n else origin.event_id,
            event_type=event.event_type,
            run_id=origin.stream,
            step_key=event.step_key,
            input_data=event.input_data,
            output_data=event.output_data,
            metadata={**event.metadata, "version": origin.version},
            trace_id=trace_id,
            timestamp_ns=origin.at * 1000,
            created_at=when(origin.at),
        )
        for n, event in enumerate(events)
    ]
