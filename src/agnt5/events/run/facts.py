"""The facts of one run, as a closed union.

*Requests* say what the body asked for, *outcomes* what came of it, *notes* what it said without
waiting. A request is claimed again by the body on every replay; an outcome is handed to the body
again, in the order of the log. Errors and values are JSON as :mod:`agnt5.payloads` writes them.
"""

from __future__ import annotations

from agnt5.events.run.life_facts import (
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunForked,
    RunParked,
    RunPaused,
    RunQueued,
    RunResumed,
    RunStarted,
    RunSuspended,
)
from agnt5.events.run.note_facts import (
    EventEmitted,
    MarkerRecorded,
    StateChanged,
)
from agnt5.events.run.step_facts import (
    OperationCancelled,
    RetryPlan,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    StepScheduled,
    StepStarted,
    TimerFired,
    TimerScheduled,
)
from agnt5.events.run.wait_facts import (
    ChildFinished,
    ChildStarted,
    SignalAwaited,
    SignalConsumed,
    SignalReceived,
    SignalReturned,
    SignalTimedOut,
    UpdateAnswered,
    UpdateReceived,
    UserInputExpired,
    UserInputRequested,
    UserReplied,
)

__all__ = [
    "RUN_FACTS",
    "ChildFinished",
    "ChildStarted",
    "EventEmitted",
    "MarkerRecorded",
    "Note",
    "OperationCancelled",
    "Outcome",
    "Request",
    "RetryPlan",
    "RunCancelRequested",
    "RunCancelled",
    "RunCompleted",
    "RunContinued",
    "RunFact",
    "RunFailed",
    "RunForked",
    "RunParked",
    "RunPaused",
    "RunQueued",
    "RunResumed",
    "RunStarted",
    "RunSuspended",
    "SignalAwaited",
    "SignalConsumed",
    "SignalReceived",
    "SignalReturned",
    "SignalTimedOut",
    "StateChanged",
    "StepAttemptFailed",
    "StepCompleted",
    "StepFailed",
    "StepScheduled",
    "StepStarted",
    "Terminal",
    "TimerFired",
    "TimerScheduled",
    "UpdateAnswered",
    "UpdateReceived",
    "UserInputExpired",
    "UserInputRequested",
    "UserReplied",
]

Request = StepScheduled | TimerScheduled | SignalAwaited | UserInputRequested | ChildStarted
Outcome = (
    StepCompleted
    | StepFailed
    | TimerFired
    | SignalConsumed
    | SignalTimedOut
    | UserReplied
    | UserInputExpired
    | ChildFinished
)
Note = MarkerRecorded | StateChanged | EventEmitted
Terminal = RunCompleted | RunFailed | RunCancelled | RunContinued
RunFact = (
    RunQueued
    | RunStarted
    | Request
    | StepStarted
    | StepAttemptFailed
    | Outcome
    | Note
    | SignalReceived
    | SignalReturned
    | UpdateReceived
    | UpdateAnswered
    | OperationCancelled
    | RunCancelRequested
    | RunParked
    | RunSuspended
    | RunPaused
    | RunResumed
    | RunForked
    | Terminal
)

RUN_FACTS: tuple[type[RunFact], ...] = (
    RunQueued,
    RunStarted,
    StepScheduled,
    StepStarted,
    StepAttemptFailed,
    StepCompleted,
    StepFailed,
    TimerScheduled,
    TimerFired,
    SignalAwaited,
    SignalReceived,
    SignalConsumed,
    SignalTimedOut,
    SignalReturned,
    UserInputRequested,
    UserReplied,
    UserInputExpired,
    ChildStarted,
    ChildFinished,
    UpdateReceived,
    UpdateAnswered,
    MarkerRecorded,
    StateChanged,
    EventEmitted,
    OperationCancelled,
    RunCancelRequested,
    RunParked,
    RunSuspended,
    RunPaused,
    RunResumed,
    RunForked,
    RunCompleted,
    RunFailed,
    RunCancelled,
    RunContinued,
)
