"""The SQL views of a store: the log as tables that any tool reads. Described in sql-views.md.

They hold nothing: each is a select over the events, and over the index of runs. What is told of
here is stable: columns are added, never renamed or removed.
"""

from __future__ import annotations

from agnt5.events.stores.sqlite_blobs import TEXTS, resolved

SELDOM = (
    "UserInputRequested",
    "UserReplied",
    "UserInputExpired",
    "SignalAwaited",
    "SignalReceived",
    "SignalConsumed",
    "SignalTimedOut",
    "SignalReturned",
    "TimerScheduled",
    "TimerFired",
    "ChildStarted",
    "ChildFinished",
    "UpdateReceived",
    "OperationCancelled",
    "StepAttemptFailed",
    "StepFailed",
    "RunCancelRequested",
    "RunSuspended",
    "RunPaused",
    "RunForked",
    "RunFailed",
    "RunCancelled",
)
"""What audits ask for and throughput does not consist of: waits, failures, the outside."""


def is_seldom(table: str = "") -> str:
    """The condition of the partial index, which a query must repeat to the letter.

    A single ``topic='UserReplied'`` is enough too: it implies an OR. And for an IN, SQLite would
    build a table with every statement that inserts (measured: 3 % of the time of a step).
    """
    return "(" + " OR ".join(f"{table}topic='{topic}'" for topic in SELDOM) + ")"


INDEX = (
    "CREATE INDEX stored_events_seldom ON stored_events(topic, originator_id, step) "
    f"WHERE {is_seldom()}"
)
"""It holds only what is seldom, so that an append of steps does not pay for it."""


def _value(table: str, field: str) -> str:
    """A short text or a number of a fact: it is in the log itself, whatever else lies apart."""
    # SQLite takes a blob for its own binary form of JSON, unless it is said that it is text.
    return f"json_extract(CAST({table}.state AS TEXT),'$.{field}')"


def _json(table: str, field: str) -> str:
    """A payload as JSON text, as it was written; ``json_quote`` would round numbers.

    Two paths make an array, ``[PAYLOAD,null]``; what is around the payload is cut off.
    """
    pair = f"json_extract({resolved(table)},'$.{field}','$.no_such_field')"
    return f"substr({pair},2,length({pair})-7)"


def _given(table: str, field: str) -> str:
    """A payload that may be missing."""
    return f"nullif({_json(table, field)},'null')"


def _time(us: str, name: str) -> str:
    """Two columns: ISO text in UTC, which sorts like the time, and microseconds."""
    text = (
        f"strftime('%Y-%m-%dT%H:%M:%S',({us})/1000000,'unixepoch')||printf('.%06dZ',({us})%1000000)"
    )
    return f"{text} AS {name}, {us} AS {name}_us"


def _error(table: str, condition: str) -> str:
    return ", ".join(
        f"CASE WHEN {condition} THEN {expression} END AS {name}"
        for expression, name in (
            (_json(table, "error"), "error"),
            (_value(table, "error.type"), "error_type"),
            (_value(table, "error.message"), "error_message"),
        )
    )


def _latest(topic: str, field: str) -> str:
    """Of the last fact of a seldom kind that the run ``r`` has."""
    return (
        f"(SELECT {_value('x', field)} FROM stored_events x WHERE {is_seldom('x.')} "
        f"AND x.topic='{topic}' AND x.originator_id=r.run_id "
        "ORDER BY x.originator_version DESC LIMIT 1)"
    )


_EVENTS = f"""CREATE VIEW agnt5_events AS SELECT e.rowid AS position, e.originator_id AS run_id,
substr(e.originator_id,1,1)<>'$' AS is_run,
e.originator_version AS version,
e.topic, e.step AS step_key, {resolved("e")} AS payload, e.event_id,
{_time("e.recorded_at", "recorded_at")} FROM stored_events e"""

_RUNS = f"""CREATE VIEW agnt5_runs AS SELECT r.run_id, r.component, r.kind, r.status,
r.version_label, r.session_id, r.user_id, r.parent_run_id,
{_value("q", "idempotency_key")} AS idempotency_key, r.queue, r.priority,
{_json("q", "input")} AS input,
CASE WHEN t.topic='RunCompleted' THEN {_json("t", "output")} END AS output,
{_error("t", "t.topic='RunFailed'")},
CASE WHEN r.status='paused' THEN {_latest("RunPaused", "reason")}
WHEN t.topic IN ('RunCancelled','RunSuspended') THEN {_value("t", "reason")} END AS reason,
{_given("q", "metadata")} AS metadata, {_given("q", "origin")} AS origin,
t.originator_version AS events, {_time("r.created_at", "created_at")},
{_time("r.started_at", "started_at")}, {_time("r.finished_at", "finished_at")},
{_time("r.wake_at", "wake_at")}, {_time("t.recorded_at", "last_event_at")},
{_value("q", "continues")} AS continues, r.continued_to, r.chain,
{_latest("RunForked", "origin")} AS forked_from, {_latest("RunForked", "at")} AS forked_at
FROM runs r
LEFT JOIN stored_events q ON q.originator_id=r.run_id AND q.originator_version=1
LEFT JOIN stored_events t ON t.originator_id=r.run_id AND t.originator_version=
(SELECT max(x.originator_version) FROM stored_events x WHERE x.originator_id=r.run_id)"""

_ATTEMPT_FACTS = "('StepStarted','StepAttemptFailed','StepCompleted','StepFailed')"

# Grouped, not joined: the steps of a run have no index, and a run may have very many of them.
_STEPS = f"""CREATE VIEW agnt5_steps AS SELECT g.originator_id AS run_id, g.step AS step_key,
{_value("s", "name")} AS name, {_value("s", "function")} AS function,
CASE WHEN o.topic='StepCompleted' THEN 'completed' WHEN o.topic='StepFailed' THEN 'failed'
WHEN o.topic='OperationCancelled' THEN 'cancelled'
WHEN r.finished_at IS NOT NULL THEN 'ended' ELSE 'open' END AS status,
1+g.attempt AS attempts, g.failed_attempts,
coalesce({_value("s", "recovery")},'retry') AS recovery,
{_json("s", "input")} AS input,
CASE WHEN o.topic='StepCompleted' THEN {_json("o", "output")} END AS output,
{_error("o", "o.topic='StepFailed'")},
CASE WHEN o.topic='StepCompleted' THEN coalesce({_value("o", "duration_us")},0) END AS duration_us,
{_value("s", "line")} AS line, {_value("s", "undo")} AS undo,
s.originator_version AS version, {_time("s.recorded_at", "scheduled_at")},
{_time("o.recorded_at", "finished_at")}
FROM (SELECT originator_id, step, max(CASE WHEN topic='StepScheduled' THEN rowid END) AS asked,
max(CASE WHEN topic IN ('StepCompleted','StepFailed','OperationCancelled') THEN rowid END)
AS done,
coalesce(max(CASE WHEN topic IN {_ATTEMPT_FACTS} THEN
coalesce({_value("stored_events", "attempt")},0) END),0) AS attempt,
sum(topic IN ('StepAttemptFailed','StepFailed')) AS failed_attempts
FROM stored_events WHERE topic IN ('StepScheduled','StepStarted','StepAttemptFailed',
'StepCompleted','StepFailed','OperationCancelled') GROUP BY originator_id, step) g
JOIN stored_events s ON s.rowid=g.asked LEFT JOIN stored_events o ON o.rowid=g.done
LEFT JOIN runs r ON r.run_id=g.originator_id"""

_ATTEMPTS = f"""CREATE VIEW agnt5_attempts AS SELECT a.originator_id AS run_id, a.step AS step_key,
a.attempt+1 AS attempt,
CASE WHEN o.topic='StepCompleted' THEN 'completed'
WHEN o.topic IN ('StepAttemptFailed','StepFailed') THEN 'failed'
WHEN c.rowid IS NOT NULL THEN 'cancelled'
WHEN r.finished_at IS NOT NULL THEN 'ended' ELSE 'open' END AS status,
{_error("o", "o.topic IN ('StepAttemptFailed','StepFailed')")},
CASE WHEN o.topic='StepCompleted' THEN coalesce({_value("o", "duration_us")},0) END AS duration_us,
{_time("b.recorded_at", "begun_at")}, {_time("o.recorded_at", "ended_at")},
{_time(f"CASE WHEN o.topic='StepAttemptFailed' THEN {_value('o', 'retry_at')} END", "retry_at")}
FROM (SELECT originator_id, step, coalesce({_value("stored_events", "attempt")},0) AS attempt,
max(CASE WHEN topic IN ('StepScheduled','StepStarted') THEN rowid END) AS begun,
max(CASE WHEN topic IN ('StepAttemptFailed','StepCompleted','StepFailed') THEN rowid END) AS done
FROM stored_events WHERE topic IN ('StepScheduled','StepStarted','StepAttemptFailed',
'StepCompleted','StepFailed') GROUP BY originator_id, step, attempt) a
LEFT JOIN stored_events b ON b.rowid=a.begun LEFT JOIN stored_events o ON o.rowid=a.done
LEFT JOIN stored_events c ON {is_seldom("c.")} AND c.topic='OperationCancelled'
AND c.originator_id=a.originator_id AND c.step=a.step
LEFT JOIN runs r ON r.run_id=a.originator_id"""


def _waited(outcomes: str) -> str:
    """From a request ``q``, its outcome ``o`` of these topics, and the run ``r``."""
    return (
        f"FROM stored_events q LEFT JOIN stored_events o ON {is_seldom('o.')} "
        f"AND o.topic IN ({outcomes},'OperationCancelled') "
        "AND o.originator_id=q.originator_id AND o.step=q.step "
        f"LEFT JOIN runs r ON r.run_id=q.originator_id WHERE {is_seldom('q.')} "
    )


def _status(*names: tuple[str, str]) -> str:
    known = " ".join(f"WHEN o.topic='{topic}' THEN '{status}'" for topic, status in names)
    return (
        f"CASE {known} WHEN o.topic='OperationCancelled' THEN 'cancelled' "
        "WHEN r.finished_at IS NOT NULL THEN 'ended' ELSE 'open' END"
    )


_REPLIED = "o.topic='UserReplied'"
_APPROVALS = f"""CREATE VIEW agnt5_approvals AS
SELECT q.originator_id AS run_id, q.step AS step_key,
{_status(("UserReplied", "answered"), ("UserInputExpired", "expired"))} AS status,
{_value("q", "question")} AS question, coalesce({_value("q", "input_type")},'text') AS input_type,
{_given("q", "options")} AS options, {_given("q", "assignees")} AS assignees,
CASE WHEN o.topic IN ('UserReplied','UserInputExpired') THEN {_value("o", "answer")} END AS answer,
CASE WHEN {_REPLIED} THEN {_value("o", "actor")} END AS actor,
CASE WHEN {_REPLIED} THEN {_value("o", "channel")} END AS channel,
CASE WHEN {_REPLIED} THEN {_value("o", "reason")} END AS reason,
{_value("q", "shown")} AS shown,
CASE WHEN {_REPLIED} THEN {_value("o", "shown")} END AS answered_shown,
{_value("q", "about")} AS about, {_value("q", "line")} AS line,
{_time("q.recorded_at", "asked_at")}, {_time(_value("q", "due_at"), "due_at")},
{_time("o.recorded_at", "ended_at")}
{_waited("'UserReplied','UserInputExpired'")} AND q.topic='UserInputRequested'"""

_TIMERS = f"""CREATE VIEW agnt5_timers AS SELECT q.originator_id AS run_id, q.step AS step_key,
{_status(("TimerFired", "fired"))} AS status, {_value("q", "line")} AS line,
{_time("q.recorded_at", "set_at")}, {_time(_value("q", "due_at"), "due_at")},
{_time("o.recorded_at", "ended_at")}
{_waited("'TimerFired'")} AND q.topic='TimerScheduled'"""

# A signal that was consumed and given back may be consumed again: the last word counts.
_SIGNALS = f"""CREATE VIEW agnt5_signals AS SELECT q.originator_id AS run_id,
{_value("q", "signal_id")} AS signal_id, {_value("q", "name")} AS name,
{_json("q", "payload")} AS payload,
CASE WHEN o.topic='SignalConsumed' THEN 'consumed' WHEN r.finished_at IS NOT NULL THEN 'ended'
ELSE 'waiting' END AS status,
CASE WHEN o.topic='SignalConsumed' THEN o.step END AS step_key,
{_time("q.recorded_at", "received_at")},
{_time("CASE WHEN o.topic='SignalConsumed' THEN o.recorded_at END", "consumed_at")}
FROM stored_events q LEFT JOIN stored_events o ON o.rowid=(SELECT max(x.rowid) FROM stored_events x
WHERE {is_seldom("x.")} AND x.topic IN ('SignalConsumed','SignalReturned')
AND x.originator_id=q.originator_id AND {_value("x", "signal_id")}={_value("q", "signal_id")})
LEFT JOIN runs r ON r.run_id=q.originator_id WHERE {is_seldom("q.")} AND q.topic='SignalReceived'"""

_WAITS = f"""CREATE VIEW agnt5_waits AS SELECT q.originator_id AS run_id, q.step AS step_key,
CASE q.topic WHEN 'UserInputRequested' THEN 'approval' WHEN 'SignalAwaited' THEN 'signal'
WHEN 'TimerScheduled' THEN 'timer' ELSE 'child' END AS kind,
CASE q.topic WHEN 'UserInputRequested' THEN {_value("q", "question")} WHEN 'SignalAwaited' THEN
{_value("q", "name")} WHEN 'ChildStarted' THEN {_value("q", "component")} END AS name,
CASE WHEN q.topic='ChildStarted' THEN {_value("q", "child_run_id")} END AS child_run_id,
CASE WHEN o.topic='OperationCancelled' THEN 'cancelled' WHEN o.topic IN ('UserInputExpired',
'SignalTimedOut') THEN 'expired' WHEN o.rowid IS NOT NULL THEN 'over'
WHEN r.finished_at IS NOT NULL THEN 'ended' ELSE 'open' END AS status,
{_time("q.recorded_at", "begun_at")}, {_time(_value("q", "due_at"), "due_at")},
{_time("coalesce(o.recorded_at,r.finished_at)", "ended_at")}
{
    _waited(
        "'UserReplied','UserInputExpired','SignalConsumed','SignalTimedOut','TimerFired',"
        "'ChildFinished'"
    )
}
AND q.topic IN ('UserInputRequested','SignalAwaited','TimerScheduled','ChildStarted')"""

_ABOUT = "FROM agnt5_approvals p WHERE p.run_id=s.run_id AND p.about=s.step_key"
_EFFECTS = f"""CREATE VIEW agnt5_effects AS SELECT s.run_id, s.step_key, s.name, s.function,
s.recovery, s.status, s.attempts, s.failed_attempts, s.input, s.output, s.undo,
(s.error_type LIKE '%:UnknownOutcomeError' AND s.status='failed')
OR EXISTS (SELECT 1 {_ABOUT}) AS was_unknown,
(SELECT p.answer {_ABOUT} ORDER BY p.asked_at_us DESC LIMIT 1) AS decision,
(SELECT p.actor {_ABOUT} ORDER BY p.asked_at_us DESC LIMIT 1) AS decided_by,
s.scheduled_at, s.scheduled_at_us, s.finished_at, s.finished_at_us FROM agnt5_steps s"""

VIEWS = (
    TEXTS,
    _EVENTS,
    _RUNS,
    _STEPS,
    _ATTEMPTS,
    _APPROVALS,
    _SIGNALS,
    _TIMERS,
    _WAITS,
    _EFFECTS,
)

NAMES = tuple(view.split(" ")[2] for view in VIEWS)
"""Of all views, in their order."""
