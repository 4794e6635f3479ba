"""What an encrypted fact looks like on the log: JSON that says whose key opens it, and the rest.

::

    {
        "encrypted": "DATA KEY",
        "component": "pay",
        "input": {"encrypted": "DATA KEY"},
        "sealed": "BASE64",
    }

What is sealed is the fact's own bytes, so that reading gives back exactly what was written. Beside
it stand the fields that are no payload (`CLEAR`), in clear, for the views and for what is left of a
run whose payloads were shredded; of the others it is only said that they are there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from agnt5.events.log import StoredFact
from agnt5.privacy_errors import EncryptionKeyError, ShreddedError

BEGIN = b'{"encrypted":"'
_SHREDDED = b'{"shredded":'
_SEALED = b',"sealed":"'

_LINE = {"key", "line"}
_STEP = {"key", "attempt"}
_TRACE = {"traceparent", "tracestate"}

CLEAR: dict[str, frozenset[str]] = {
    topic: frozenset(names)
    for topic, names in {
        "RunQueued": {
            *("component", "kind", "idempotency_key", "replaces", "session_id", "user_id"),
            *("version_label", "parent_run_id", "parent_key", "queue", "priority"),
            *("deduplication_id", "replaces_duplicate", "durable", "continues", "chain", "link"),
            *_TRACE,
        },
        "RunStarted": {"definition", "timeout_us"},
        "RunCancelRequested": _TRACE,
        "RunParked": {"wake_at"},
        "RunSuspended": {"definition"},
        "RunResumed": {"definition"},
        "RunCompleted": (),
        "RunFailed": {"attempts", "max_attempts"},
        "RunCancelled": (),
        "RunPaused": (),
        "RunForked": {
            *("origin", "at", "kept_identity", "identity", "input_changed", "children", "again"),
            "origin_traceparent",
        },
        "RunContinued": {"successor", "version_label"},
        "MarkerRecorded": {"key"},
        "StateChanged": {"key", "name"},
        "EventEmitted": {"key", "event_type"},
        "StepScheduled": {*_LINE, "name", "function", "retry", "recovery", "deadline", "undo"},
        "StepStarted": _STEP,
        "StepAttemptFailed": {*_STEP, "retry_at"},
        "StepCompleted": {*_STEP, "duration_us"},
        "StepFailed": _STEP,
        "TimerScheduled": {*_LINE, "due_at"},
        "TimerFired": {"key"},
        "OperationCancelled": {"key"},
        "SignalAwaited": {*_LINE, "name", "due_at"},
        "SignalReceived": {"signal_id", "name", *_TRACE},
        "SignalConsumed": {"key", "signal_id"},
        "SignalTimedOut": {"key"},
        "SignalReturned": {"key", "signal_id"},
        "UserInputRequested": {
            *(*_LINE, "input_type", "allow_custom", "skippable", "due_at", "about"),
        },
        "UserReplied": {"key", "about", *_TRACE},
        "UserInputExpired": {"key", "about"},
        "ChildStarted": {*_LINE, "child_run_id", "component", "kind", "on_parent_end"},
        "ChildFinished": {"key", "status"},
        "UpdateReceived": {"update_id", "name", *_TRACE},
        "UpdateAnswered": {"update_id"},
        "EntityCallCompleted": {"method", "call_id", "caller"},
        "EntityCallFailed": {"method", "call_id", "caller"},
        "EntitySnapshot": (),
        "ScheduleArmed": {"expression", "timezone", "upto"},
        "ScheduleFired": {"expression", "timezone", "due_at", "run_id"},
        "ScheduleSkipped": {"expression", "timezone", "upto", "policy"},
    }.items()
}
"""By topic, the fields that stay readable. What is not named here is encrypted."""


class Envelope(NamedTuple):
    """The parts of an encrypted fact."""

    key_name: str
    clear: bytes
    """What stands between the key's name and the sealed part, bound to it."""
    sealed: bytes
    """Base64."""


def clear_part(topic: str, state: bytes, key_name: str) -> bytes:
    """The fields of a fact that stay readable, as they stand in its envelope."""
    names = CLEAR.get(topic.partition(";v=")[0])
    if names is None:
        return b""
    try:
        shape = orjson.loads(state)
    except orjson.JSONDecodeError:
        return b""
    if not isinstance(shape, dict) or not shape:
        return b""
    mask = {"encrypted": key_name}
    shown = {name: value if name in names else mask for name, value in shape.items()}
    return b"," + orjson.dumps(shown)[1:-1]


def bound(fact: tuple[str, int, str, int, str, str | None], key_name: str, clear: bytes) -> bytes:
    """What a sealed part is bound to: moved to another place or under other words, it fails.

    The tuple: stream, version, topic, time, event id, step.
    """
    return orjson.dumps(["agnt5.sealed.1", *fact, key_name]) + clear


def enveloped(key_name: str, clear: bytes, sealed: bytes) -> bytes:
    """The encrypted fact; ``sealed`` is base64."""
    return b"".join((BEGIN, key_name.encode(), b'"', clear, _SEALED, sealed, b'"}'))


def opened(state: bytes) -> Envelope | None:
    """The parts of an encrypted fact; None if it is in clear."""
    if not state.startswith(BEGIN):
        return None
    end = state.find(b'"', len(BEGIN))
    place = state.rfind(_SEALED)
    if end < 0 or place < end or not state.endswith(b'"}'):
        return None
    key_name = state[len(BEGIN) : end].decode(errors="replace")
    return Envelope(key_name, state[end + 1 : place], state[place + len(_SEALED) : -2])


def marked(state: bytes, at: int) -> bytes:
    """The envelope of a fact whose key was shredded at this time, as it is handed to readers."""
    return b"%s%d,%s" % (_SHREDDED, at, state[1:])


def shredded_at(state: bytes) -> int | None:
    """When the key of this fact was shredded; None unless it was."""
    if not state.startswith(_SHREDDED):
        return None
    time = state[len(_SHREDDED) : state.find(b",")]
    return int(time) if time.isdigit() else None


def refusal(stored: StoredFact) -> EncryptionKeyError | ShreddedError | None:
    """Why this fact cannot be read, if that is because it is encrypted."""
    at = shredded_at(stored.state)
    where = f"fact {stored.version} of run {stored.stream!r} ({stored.topic})"
    if at is not None:
        msg = (
            f"{where} was shredded on {day_of(at)}: the key of its payload was destroyed on"
            " purpose. What the index says of the run is still there, see client.get_status."
        )
        return ShreddedError(msg, stored.stream, at)
    envelope = opened(stored.state)
    if envelope is None:
        return None
    msg = (
        f"{where} is encrypted (data key {envelope.key_name!r}), and no key at hand opens it."
        " Open its store with encryption=Keyring(...), or set AGNT5_ENCRYPTION_KEYS. If that is"
        " done, its master key is not among them, or the store has lost the data key."
    )
    return EncryptionKeyError(msg, envelope.key_name, stored.stream)


def day_of(at: int) -> str:
    """A time in microseconds as ISO text in UTC, without the part of a second."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
