"""Every view says what the typed facts say, for runs of every sort; the views are kept stable."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from tests.api.audited import Plan, components, plans, play

from agnt5 import EntityRegistry, FunctionRegistry, Runtime, WorkflowRegistry
from agnt5.events.codec import ALL_FACTS, decode_any, encode_fact
from agnt5.events.log import Append, Chain
from agnt5.events.projections import row_of
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.events.stores.sqlite_views import SELDOM, VIEWS
from agnt5.exceptions import UnknownOutcomeError
from agnt5.payloads import encode_error
from agnt5.testing.stores import Sunk

Row = dict[str, Any]
ENDED = ("completed", "failed", "cancelled", "continued")


def text_of(value: object) -> str:
    return orjson.dumps(value).decode()


def iso(us: int | None) -> str | None:
    if us is None:
        return None
    whole = datetime.fromtimestamp(us // 1_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{us % 1_000_000:06d}Z"


class Model:
    """The rows of the views, from the typed facts of a log."""

    def __init__(self, log: SqliteLog) -> None:
        self.rows: dict[str, list[Row]] = {
            name: []
            for name in (
                "events",
                "runs",
                "steps",
                "attempts",
                "approvals",
                "signals",
                "timers",
                "waits",
                "effects",
            )
        }
        for stream in log.run_ids() + log.other_streams():
            stored = log.read(stream)
            for each in stored:
                self.event(each)
            if not stream.startswith("$"):
                self.run(log, stream, [(decode_any(each), each.at) for each in stored])

    def add(self, view: str, row: Row, **times: int | None) -> None:
        for name, at in times.items():
            row[name], row[f"{name}_us"] = iso(at), at
        self.rows[view].append(row)

    def event(self, each: Any) -> None:
        row = {
            "position": each.position,
            "run_id": each.stream,
            "is_run": int(not each.stream.startswith("$")),
            "version": each.version,
            "topic": decode_any(each).topic,
            "step_key": each.step,
            "payload": each.state.decode(),
            "event_id": each.event_id,
        }
        self.add("events", row, recorded_at=each.at)

    def run(self, log: SqliteLog, run_id: str, facts: list[tuple[Any, int]]) -> None:
        index = log.run_row(run_id)
        assert index is not None
        queued, (last, last_at) = facts[0][0], facts[-1]
        forks = [fact for fact, _ in facts if isinstance(fact, f.RunForked)]
        pauses = [fact for fact, _ in facts if isinstance(fact, f.RunPaused)]
        holds = pauses[-1] if index.status == "paused" else last
        row = {
            "run_id": run_id,
            "status": index.status,
            "events": len(facts),
            "input": text_of(queued.input),
            "output": text_of(last.output) if isinstance(last, f.RunCompleted) else None,
            "reason": getattr(holds, "reason", None),
            "forked_from": forks[-1].origin if forks else None,
            "forked_at": forks[-1].at if forks else None,
            "metadata": text_of(queued.metadata) if queued.metadata else None,
            "origin": None,
            **error_of(last if isinstance(last, f.RunFailed) else None),
        }
        row |= {
            "continues": queued.continues,
            "chain": queued.chain,
            "continued_to": last.successor if isinstance(last, f.RunContinued) else None,
        }
        same = "component kind version_label session_id user_id parent_run_id idempotency_key"
        row |= {name: getattr(queued, name) for name in f"{same} queue priority".split()}
        self.add(
            "runs",
            row,
            created_at=facts[0][1],
            started_at=next((at for fact, at in facts if isinstance(fact, f.RunStarted)), None),
            finished_at=last_at if index.status in ENDED else None,
            wake_at=index.wake_at,
            last_event_at=last_at,
        )
        self.over = last_at if index.status in ENDED else None
        for n, (fact, at) in enumerate(facts):
            later = facts[n:]
            match fact:
                case f.StepScheduled():
                    self.step(run_id, n + 1, fact, at, later)
                case f.SignalReceived():
                    self.signal(run_id, fact, at, later)
                case (
                    f.UserInputRequested()
                    | f.TimerScheduled()
                    | f.SignalAwaited()
                    | f.ChildStarted()
                ):
                    self.wait(run_id, fact, at, later)
                case _:
                    pass

    def step(
        self, run_id: str, version: int, asked: f.StepScheduled, at: int, later: list[Any]
    ) -> None:
        mine = [(fact, when) for fact, when in later if getattr(fact, "key", None) == asked.key]
        ends = (f.StepCompleted, f.StepFailed, f.OperationCancelled)
        end, ended = next(
            ((fact, when) for fact, when in mine if isinstance(fact, ends)), (None, None)
        )
        tried = [fact.attempt for fact, _ in mine if hasattr(fact, "attempt")]
        done = end if isinstance(end, f.StepCompleted) else None
        row = {
            "run_id": run_id,
            "step_key": asked.key,
            "name": asked.name,
            "function": asked.function,
            "status": self.status(end),
            "attempts": 1 + max(tried, default=0),
            "failed_attempts": sum(
                isinstance(fact, f.StepAttemptFailed | f.StepFailed) for fact, _ in mine
            ),
            "recovery": asked.recovery,
            "input": text_of(asked.input),
            "output": text_of(done.output) if done else None,
            "undo": asked.undo,
        }
        effect = {**row, "was_unknown": 0, "decision": None, "decided_by": None}
        self.add("effects", effect, scheduled_at=at, finished_at=ended)
        row |= error_of(end if isinstance(end, f.StepFailed) else None)
        row |= {
            "duration_us": done.duration_us if done else None,
            "line": asked.line,
            "version": version,
        }
        self.add("steps", row, scheduled_at=at, finished_at=ended)
        for attempt in range(1 + max(tried, default=0)):
            self.attempt(run_id, asked.key, attempt, mine, at, end)

    def attempt(
        self, run_id: str, key: str, number: int, mine: list[Any], at: int, end: Any
    ) -> None:
        begun, over, ended = at if number == 0 else None, None, None
        for fact, when in mine:
            if getattr(fact, "attempt", None) != number:
                continue
            if isinstance(fact, f.StepStarted):
                begun = when
            else:
                over, ended = fact, when
        done = over if isinstance(over, f.StepCompleted) else None
        failed = None if done else over
        cancelled = end if isinstance(end, f.OperationCancelled) else None
        row = {
            "run_id": run_id,
            "step_key": key,
            "attempt": number + 1,
            "status": "failed" if failed else self.status(over or cancelled),
            **error_of(failed),
            "duration_us": done.duration_us if done else None,
        }
        retry_at = failed.retry_at if isinstance(failed, f.StepAttemptFailed) else None
        self.add("attempts", row, begun_at=begun, ended_at=ended, retry_at=retry_at)

    def status(self, end: Any) -> str:
        words = {
            f.StepCompleted: "completed",
            f.StepFailed: "failed",
            f.OperationCancelled: "cancelled",
            f.UserReplied: "answered",
            f.UserInputExpired: "expired",
            f.TimerFired: "fired",
        }
        return words[type(end)] if end else "open" if self.over is None else "ended"

    def signal(self, run_id: str, came: f.SignalReceived, at: int, later: list[Any]) -> None:
        taken = (f.SignalConsumed, f.SignalReturned)
        mine = [each for each in later if isinstance(each[0], taken)]
        mine = [each for each in mine if each[0].signal_id == came.signal_id]
        last, when = mine[-1] if mine else (None, None)
        is_taken = isinstance(last, f.SignalConsumed)
        waiting = "waiting" if self.over is None else "ended"
        row = {
            "run_id": run_id,
            "signal_id": came.signal_id,
            "name": came.name,
            "payload": text_of(came.payload),
            "status": "consumed" if is_taken else waiting,
            "step_key": last.key if last is not None and is_taken else None,
        }
        self.add("signals", row, received_at=at, consumed_at=when if is_taken else None)

    def wait(self, run_id: str, asked: Any, at: int, later: list[Any]) -> None:
        mine = [each for each in later[1:] if getattr(each[0], "key", None) == asked.key]
        end, ended = mine[0] if mine else (None, None)
        due, place = getattr(asked, "due_at", None), {"run_id": run_id, "step_key": asked.key}
        match asked:
            case f.UserInputRequested():
                self.approval(place, asked, at, end, ended)
                kind, name = "approval", asked.question
            case f.TimerScheduled():
                row = {**place, "status": self.status(end), "line": asked.line}
                self.add("timers", row, set_at=at, due_at=due, ended_at=ended)
                kind, name = "timer", None
            case f.SignalAwaited():
                kind, name = "signal", asked.name
            case _:
                kind, name = "child", asked.component
        status = "open" if self.over is None else "ended"
        if end is not None:
            words = {f.UserInputExpired: "expired", f.SignalTimedOut: "expired"}
            status = {**words, f.OperationCancelled: "cancelled"}.get(type(end), "over")
        child = getattr(asked, "child_run_id", None)
        row = {**place, "kind": kind, "name": name, "child_run_id": child, "status": status}
        self.add("waits", row, begun_at=at, due_at=due, ended_at=ended or self.over)

    def approval(self, place: Row, asked: Any, at: int, end: Any, ended: int | None) -> None:
        reply = end if isinstance(end, f.UserReplied) else None
        row = {
            **place,
            "status": self.status(end),
            "question": asked.question,
            "input_type": asked.input_type,
            "options": text_of(asked.options) if asked.options else None,
            "assignees": text_of(asked.assignees) if asked.assignees else None,
            "answer": getattr(end, "answer", None),
            "actor": reply.actor if reply else None,
            "channel": reply.channel if reply else None,
            "reason": reply.reason if reply else None,
            "shown": asked.shown,
            "answered_shown": reply.shown if reply else None,
            "about": asked.about,
            "line": asked.line,
        }
        self.add("approvals", row, asked_at=at, due_at=asked.due_at, ended_at=ended)


def error_of(fact: Any) -> Row:
    if fact is None:
        return {"error": None, "error_type": None, "error_message": None}
    error = fact.error
    return {
        "error": text_of(error),
        "error_type": error["type"],
        "error_message": error["message"],
    }


def selected(path: Path, view: str) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM agnt5_{view}")]


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: text_of(sorted(row.items())))


async def make_file(path: Path, wanted: list[Plan]) -> None:
    async with Runtime(f"sqlite:///{path}") as runtime:
        await asyncio.gather(*(play(runtime, plan) for plan in wanted))


def fresh() -> None:
    for registry in (FunctionRegistry, WorkflowRegistry, EntityRegistry):
        registry.clear()
    components()


@settings(max_examples=25)
@given(wanted=plans)
def test_a_view_says_what_the_typed_facts_say(wanted: list[Plan]) -> None:
    fresh()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store.db")
        asyncio.run(make_file(path, wanted))
        log = SqliteLog(path, readonly=True)
        try:
            expected = Model(log).rows
        finally:
            log.close()
        for view, rows in expected.items():
            assert in_order(selected(path, view)) == in_order(rows), view


SELDOM_SEEN = (
    f.RunQueued(component="w", kind="workflow", input={}, metadata={"a": [1]}),
    f.RunStarted(definition="d"),
    f.SignalAwaited(key=":signal:go#0", name="go"),
    f.SignalReceived(signal_id="s1", name="go", payload=[1.5, None]),
    f.SignalReceived(signal_id="s2", name="go"),
    f.SignalConsumed(key=":signal:go#0", signal_id="s1", payload=[1.5, None]),
    f.SignalReturned(key=":signal:go#0", signal_id="s1"),
    f.StepScheduled(key=":pay#0", name="pay", function="pay", recovery="ask", undo="refund"),
    f.StepStarted(key=":pay#0", attempt=0),
    f.UserInputRequested(key="?recovery#0:pay#0", question="What now?", about=":pay#0"),
    f.UserReplied(key="?recovery#0:pay#0", answer="retry", actor="ada", about=":pay#0"),
    f.StepStarted(key=":pay#0", attempt=1),
    f.StepCompleted(key=":pay#0", output=12345678901234567, attempt=1, duration_us=7),
    f.StepScheduled(key=":pay#1", name="pay", function="pay", recovery="fail"),
    f.StepStarted(key=":pay#1", attempt=0),
    f.StepFailed(key=":pay#1", error=encode_error(UnknownOutcomeError("who knows"))),
    f.RunSuspended(reason="divergence", report="r", definition="d"),
)


def test_what_is_seldom_seen(tmp_path: Path) -> None:
    """A signal given back, a crash that hid an outcome, a run that is suspended."""
    path = tmp_path / "store.db"
    log, sunk = SqliteLog(path), Sunk()
    log.start(sunk)
    raw = [encode_fact(fact, 1000 + n, f"e{n}") for n, fact in enumerate(SELDOM_SEEN)]
    row = row_of(fold("r1", [(fact, 1000 + n) for n, fact in enumerate(SELDOM_SEEN)]))
    log.append([Append("r1", 0, raw, [row], Chain(), lambda _: None)])
    log.close()
    look = SqliteLog(path, readonly=True)
    try:
        expected = Model(look).rows
    finally:
        look.close()
    first, second = expected["effects"]
    first |= {"was_unknown": 1, "decision": "retry", "decided_by": "ada"}
    second |= {"was_unknown": 1}
    for view, rows in expected.items():
        assert in_order(selected(path, view)) == in_order(rows), view


def test_the_views_know_every_topic_by_its_name() -> None:
    """A fact of a second shape has another topic: a migration must make the views again then."""
    known = {fact.topic for fact in ALL_FACTS}
    named = set(re.findall(r"'((?:Run|Step|Timer|Signal|User|Child|Operation)\w+)'", str(VIEWS)))
    assert named <= known
    assert set(SELDOM) <= known
    assert {fact.schema_version for fact in ALL_FACTS} == {1}
