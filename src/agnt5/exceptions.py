"""Every error of agnt5, as one tree.

Split by whose fault it is::

    AGNT5Error
    ├── ConfigurationError            yours: a definition, a store address, a setting
    ├── InvalidInputError             yours: the call does not fit the component (also ValueError)
    ├── UnknownComponentError, RunNotFoundError   yours: there is none (also LookupError)
    ├── WebhookVerificationError      the sender's: its webhook is not signed as it should be
    ├── PayloadError                  yours: a value that cannot be recorded (PayloadTooLargeError)
    ├── ExecutionError                yours: a step failed
    │   ├── RecordedError, RetryError stands in for one that cannot be rebuilt; never raised
    │   ├── StepTimeoutError, RunTimeoutError     it took too long (also TimeoutError)
    │   ├── UnknownOutcomeError       a crash hid whether the effect happened
    │   ├── ChildCancelledError       the run that a workflow waited for was cancelled
    │   └── SagaError                 what a failed saga did could not all be undone
    ├── ActivationError               a durable boundary was crossed wrongly (NondeterminismError)
    ├── StoreError                    the world's: disk, file, database
    │   ├── StoreFullError, -ReadOnlyError, -BusyError, -CorruptError, -SchemaError, -InUseError
    │   └── VersionConflictError, StaleEpochError  somebody else extended the stream, or owns it
    ├── RuntimeClosedError, OverloadedError       closed or closing; too full, try again later
    ├── QueryError, UpdateError       a run could not answer a query, or an update
    ├── StateError, CheckpointError   yours: state was used wrongly
    │   └── StateConflictError        somebody else has changed a value since it was read
    └── RunError                      a run that failed, raised on request

    BaseException
    └── BodyClosed                    ends a body whose run leaves memory; never an error
"""

from __future__ import annotations

from collections.abc import Sequence


class AGNT5Error(Exception):
    """Base of every error that agnt5 raises.

    Attributes:
        code: A stable upper-case word for programs, such as ``NOT_FOUND``.
    """

    code: str = "AGNT5_ERROR"


class ConfigurationError(AGNT5Error):
    """A definition, a setting or a store address is wrong."""

    code = "CONFIGURATION"


class InvalidInputError(AGNT5Error, ValueError):
    """The input does not fit the component's signature. Nothing was written."""

    code = "INVALID_ARGUMENT"


class UnknownComponentError(AGNT5Error, LookupError):
    """No component of that name and kind is registered in this process."""

    code = "NOT_FOUND"


class RunNotFoundError(AGNT5Error, LookupError):
    """No run with that id is in the store."""

    code = "NOT_FOUND"


class WebhookVerificationError(AGNT5Error):
    """A webhook has no signature, a wrong one, or one that is too old. Nothing was written.

    Attributes:
        status_code: What to answer over HTTP, 401.
    """

    code = "UNAUTHENTICATED"
    status_code = 401


class PayloadError(AGNT5Error):
    """A value cannot be recorded, or a recorded value cannot be rebuilt.

    Attributes:
        where: What was being recorded, such as ``result of step 'charge'``.
        path: The place inside the value, such as ``$.items[2].handle``.
    """

    code = "PAYLOAD_INVALID"

    def __init__(self, message: str, *, where: str = "", path: str = "$") -> None:
        super().__init__(message)
        self.where = where
        self.path = path

    def __str__(self) -> str:
        place = f"{self.where}, at {self.path}: " if self.where else f"at {self.path}: "
        return place + str(self.args[0])


class PayloadTooLargeError(PayloadError):
    """A recorded value would exceed the payload limit."""

    code = "PAYLOAD_TOO_LARGE"


class ExecutionError(AGNT5Error):
    """User code failed while it was executed by agnt5."""

    code = "EXECUTION_ERROR"


class RecordedError(ExecutionError):
    """Stands in for a recorded exception whose class cannot be rebuilt.

    Attributes:
        type_name: The class of the original, ``module:qualname``.
    """

    def __init__(self, message: str, type_name: str = "") -> None:
        super().__init__(message, type_name)
        self.type_name = type_name

    def __str__(self) -> str:
        return str(self.args[0])


class StepTimeoutError(ExecutionError, TimeoutError):
    """An attempt, or a step with all its attempts, took longer than its timeout."""

    code = "TIMEOUT"


class RunTimeoutError(ExecutionError, TimeoutError):
    """A run was under way for longer than the timeout of its workflow."""

    code = "TIMEOUT"


class UnknownOutcomeError(ExecutionError):
    """A crash hid whether the effect of an attempt happened, and its policy forbids a retry."""

    code = "UNKNOWN_OUTCOME"


class ChildCancelledError(ExecutionError):
    """A child run was cancelled while its parent waited for it.

    Attributes:
        run_id: The child.
        reason: Why, as whoever cancelled it said; None if no reason was given.
    """

    code = "CANCELLED"

    def __init__(self, run_id: str, reason: str | None = None) -> None:
        super().__init__(run_id, reason)
        self.run_id = run_id
        self.reason = reason

    def __str__(self) -> str:
        return f"child run {self.run_id} was cancelled: {self.reason or 'no reason was given'}"


class SagaError(ExecutionError):
    """A saga failed, and not everything that it had done could be undone.

    What made the saga fail is its ``__cause__``.

    Attributes:
        failures: The undos that failed, in the order in which they were tried: name and error.
    """

    code = "SAGA_NOT_UNDONE"

    def __init__(self, message: str, failures: Sequence[tuple[str, BaseException]] = ()) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


class RetryError(ExecutionError):
    """Kept for programs written for the public SDK; agnt5 never raises it."""

    def __init__(
        self, message: str, attempts: int = 0, last_error: Exception | None = None
    ) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.last_error = last_error


class StateError(AGNT5Error):
    """Scoped state was used wrongly."""

    code = "STATE"


class StateConflictError(StateError):
    """A value of a session or user was changed by somebody else since this run has read it.

    Attributes:
        scope: ``session`` or ``user``.
        scope_id: Which one.
        key: The name of the value.
        version: The version of the value that this run has read.
    """

    code = "STATE_VERSION_CONFLICT"

    def __init__(self, scope: str, scope_id: str, key: str, version: int) -> None:
        super().__init__(scope, scope_id, key, version)
        self.scope = scope
        self.scope_id = scope_id
        self.key = key
        self.version = version

    def __str__(self) -> str:
        return (
            f"{self.key!r} of {self.scope} {self.scope_id!r} was changed by somebody else since"
            f" this run has read it; nothing was written. To change a value that others change,"
            f" use await ctx.{self.scope}.state.update({self.key!r}, fn, default): it reads,"
            " changes and writes until nobody came between"
        )


class CheckpointError(AGNT5Error):
    """A recorded checkpoint cannot be used."""

    code = "CHECKPOINT"


class ActivationError(AGNT5Error):
    """A durable boundary was crossed wrongly.

    Attributes:
        code: One of the activation codes, such as ``NON_DETERMINISTIC_REPLAY``.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        activation_id: str | None = None,
        attempt: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.activation_id = activation_id
        self.attempt = attempt


class NondeterminismError(ActivationError):
    """The body no longer asks for what the run's log holds. The run is suspended, not lost."""

    def __init__(self, message: str) -> None:
        super().__init__("NON_DETERMINISTIC_REPLAY", message)


class StoreError(AGNT5Error):
    """The store could not be read or written. What was recorded before is safe."""

    code = "DURABILITY_UNAVAILABLE"


class StoreFullError(StoreError):
    """The disk or the quota of the store is full."""

    code = "STORE_FULL"


class StoreReadOnlyError(StoreError):
    """The store's file or folder may not be written."""

    code = "STORE_READ_ONLY"


class StoreBusyError(StoreError):
    """Another program holds the store's file locked."""

    code = "STORE_BUSY"


class StoreCorruptError(StoreError):
    """The file is damaged, or is not a database of agnt5."""

    code = "STORE_CORRUPT"


class StoreSchemaError(StoreError):
    """The database was written by a newer agnt5."""

    code = "STORE_SCHEMA"


class StoreInUseError(StoreError):
    """Another process owns the runs of this store."""

    code = "STORE_IN_USE"


class VersionConflictError(StoreError):
    """The stream was extended by somebody else since it was read.

    Attributes:
        stream: The stream's name.
        expected: The version that the append wanted to extend.
    """

    code = "STATE_VERSION_CONFLICT"

    def __init__(self, stream: str, expected: int) -> None:
        super().__init__(stream, expected)
        self.stream = stream
        self.expected = expected

    def __str__(self) -> str:
        return f"stream {self.stream!r} no longer ends at version {self.expected}"


class StaleEpochError(StoreError):
    """Another owner has taken over; this one must stop writing at once."""

    code = "STALE_AUTHORITY"


class RuntimeClosedError(AGNT5Error):
    """The runtime is not running: not started yet, shutting down, or closed."""

    code = "RUNTIME_CLOSED"


class OverloadedError(AGNT5Error):
    """A bounded queue is full. Nothing was written; try again later."""

    code = "OVERLOADED"


class QueryError(AGNT5Error):
    """A run could not be asked: no handler of that name, not under way, or its handler failed."""

    code = "QUERY_FAILED"


class UpdateError(AGNT5Error):
    """The handler of an update did not answer: its run ended, is suspended, or lost the handler."""

    code = "UPDATE_FAILED"


class RunError(AGNT5Error):
    """A run ended without success; raised by ``raise_for_status`` and by streams.

    Attributes:
        message: What went wrong.
        run_id: The run, when known.
        error_code: A stable word, such as ``EXECUTION_ERROR`` or ``TIMEOUT``.
        attempts: Attempts made, counted from 1.
        max_attempts: Attempts allowed.
        metadata: Whatever else is known.
    """

    code = "RUN_FAILED"

    def __init__(
        self,
        message: str,
        run_id: str | None = None,
        error_code: str | None = None,
        attempts: int | None = None,
        max_attempts: int | None = None,
        metadata: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.run_id = run_id
        self.error_code = error_code
        self.attempts = attempts
        self.max_attempts = max_attempts
        self.metadata = metadata or {}

    @property
    def was_retried(self) -> bool:
        """Whether more than one attempt was made."""
        return (self.attempts or 0) > 1

    @property
    def exhausted_retries(self) -> bool:
        """Whether every allowed attempt was made."""
        if self.attempts is None or self.max_attempts is None:
            return False
        return self.attempts >= self.max_attempts


class BodyClosed(BaseException):
    """Ends a body whose run leaves memory; the run goes on later, by replay.

    A ``BaseException``, so that ``except Exception`` in user code cannot swallow it. Do not catch
    it. If a ``finally`` block sees it: durable calls do nothing there, and nothing was lost.
    """
