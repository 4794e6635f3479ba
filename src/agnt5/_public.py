"""The public names of agnt5, and where each comes from.

All is imported at the first name that somebody asks for, but for ``LATER``: what a program seldom
needs is imported by its own name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from agnt5.agent import Agent, AgentRegistry, AgentResult
from agnt5.agent_tools import Handoff
from agnt5.batch import (
    BatchConfig,
    BatchError,
    BatchItemError,
    BatchItemInput,
    BatchItemResult,
    BatchResult,
    BatchStats,
    BatchStatusResult,
    CancelBatchResult,
)
from agnt5.class_workflow import Workflow
from agnt5.client import AsyncClient, Client
from agnt5.context import Context, FunctionContext, WorkflowContext, get_current_context

# Workflows need it that are called where no run is.
from agnt5.direct_runs import run_directly as run_directly  # noqa: PLC0414 - it is not for users
from agnt5.entity import Entity, EntityRegistry, entity, query
from agnt5.event_queries import EventFilters
from agnt5.exceptions import (
    ActivationError,
    AGNT5Error,
    CheckpointError,
    ChildCancelledError,
    ConfigurationError,
    ExecutionError,
    InvalidInputError,
    NondeterminismError,
    OverloadedError,
    PayloadError,
    PayloadTooLargeError,
    QueryError,
    RecordedError,
    RetryError,
    RunError,
    RunNotFoundError,
    RuntimeClosedError,
    RunTimeoutError,
    SagaError,
    StateConflictError,
    StateError,
    StepTimeoutError,
    StoreError,
    UnknownComponentError,
    UnknownOutcomeError,
    UpdateError,
    WebhookVerificationError,
)
from agnt5.flow import Queue, RateLimit
from agnt5.function import function
from agnt5.histories import History
from agnt5.keyring import Keyring
from agnt5.limits import Limits
from agnt5.opened_stores import rebuild_index
from agnt5.people import UserReply
from agnt5.policies import (
    BackoffPolicy,
    BackoffType,
    Happened,
    NotHappened,
    RecoveryPolicy,
    RetryPolicy,
    verify,
)
from agnt5.privacy_errors import EncryptionKeyError, ShreddedError
from agnt5.registry import FunctionRegistry, WorkflowRegistry
from agnt5.responses import (
    Event,
    EventsResponse,
    RunErrorDetail,
    RunResponse,
    RunStatus,
    StatusResponse,
    SubmitResponse,
    WebhookResponse,
)
from agnt5.runtime import Runtime
from agnt5.signing import HashChain, SigningKey
from agnt5.tails import ReceivedEvent, StreamOffset
from agnt5.task import task
from agnt5.tool import Tool, ToolRegistry, tool
from agnt5.transfers import export_runs, import_runs
from agnt5.types import TriggerSpec, event, webhook
from agnt5.workflow import workflow

if TYPE_CHECKING:
    from agnt5.bulk import BulkReport
    from agnt5.diagnosis import Complaint, Diagnosis
    from agnt5.diffs import RunDiff
    from agnt5.events.care import StoreFigures, Vacuumed
    from agnt5.events.chain_check import ChainProblem, ChainReport
    from agnt5.events.leases import Ownership
    from agnt5.explanations import Explanation
    from agnt5.fork_previews import ForkPreview
    from agnt5.privacy_desk import Shredded
    from agnt5.pruning import Pruned
    from agnt5.retention import Retention
    from agnt5.snapshots import RunSnapshot
    from agnt5.store_care import vacuum_store, verify_store
    from agnt5.verification import Finding, Verification

LATER: Final = {
    "ChainProblem": "agnt5.events.chain_check",
    "ChainReport": "agnt5.events.chain_check",
    "BulkReport": "agnt5.bulk",
    "Explanation": "agnt5.explanations",
    "ForkPreview": "agnt5.fork_previews",
    "RunDiff": "agnt5.diffs",
    "RunSnapshot": "agnt5.snapshots",
    "Shredded": "agnt5.privacy_desk",
    "Finding": "agnt5.verification",
    "Pruned": "agnt5.pruning",
    "Retention": "agnt5.retention",
    "Verification": "agnt5.verification",
    "vacuum_store": "agnt5.store_care",
    "verify_store": "agnt5.store_care",
    "Complaint": "agnt5.diagnosis",
    "Diagnosis": "agnt5.diagnosis",
    "Ownership": "agnt5.events.leases",
    "StoreFigures": "agnt5.events.care",
    "Vacuumed": "agnt5.events.care",
}
"""Where each of these is; the imports above say the same to type checkers."""


def __getattr__(name: str) -> object:
    if name in LATER:
        return getattr(import_module(LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AGNT5Error",
    "ActivationError",
    "Agent",
    "AgentRegistry",
    "AgentResult",
    "AsyncClient",
    "BackoffPolicy",
    "BackoffType",
    "BatchConfig",
    "BatchError",
    "BatchItemError",
    "BatchItemInput",
    "BatchItemResult",
    "BatchResult",
    "BatchStats",
    "BatchStatusResult",
    "BulkReport",
    "CancelBatchResult",
    "ChainProblem",
    "ChainReport",
    "CheckpointError",
    "ChildCancelledError",
    "Client",
    "Complaint",
    "ConfigurationError",
    "Context",
    "Diagnosis",
    "EncryptionKeyError",
    "Entity",
    "EntityRegistry",
    "Event",
    "EventFilters",
    "EventsResponse",
    "ExecutionError",
    "Explanation",
    "Finding",
    "ForkPreview",
    "FunctionContext",
    "FunctionRegistry",
    "Handoff",
    "Happened",
    "HashChain",
    "History",
    "InvalidInputError",
    "Keyring",
    "Limits",
    "NondeterminismError",
    "NotHappened",
    "OverloadedError",
    "Ownership",
    "PayloadError",
    "PayloadTooLargeError",
    "Pruned",
    "QueryError",
    "Queue",
    "RateLimit",
    "ReceivedEvent",
    "RecordedError",
    "RecoveryPolicy",
    "Retention",
    "RetryError",
    "RetryPolicy",
    "RunDiff",
    "RunError",
    "RunErrorDetail",
    "RunNotFoundError",
    "RunResponse",
    "RunSnapshot",
    "RunStatus",
    "RunTimeoutError",
    "Runtime",
    "RuntimeClosedError",
    "SagaError",
    "Shredded",
    "ShreddedError",
    "SigningKey",
    "StateConflictError",
    "StateError",
    "StatusResponse",
    "StepTimeoutError",
    "StoreError",
    "StoreFigures",
    "StreamOffset",
    "SubmitResponse",
    "Tool",
    "ToolRegistry",
    "TriggerSpec",
    "UnknownComponentError",
    "UnknownOutcomeError",
    "UpdateError",
    "UserReply",
    "Vacuumed",
    "Verification",
    "WebhookResponse",
    "WebhookVerificationError",
    "Workflow",
    "WorkflowContext",
    "WorkflowRegistry",
    "entity",
    "event",
    "export_runs",
    "function",
    "get_current_context",
    "import_runs",
    "query",
    "rebuild_index",
    "task",
    "tool",
    "vacuum_store",
    "verify",
    "verify_store",
    "webhook",
    "workflow",
]
