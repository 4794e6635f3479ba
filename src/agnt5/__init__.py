"""agnt5: durable workflows as event-sourced actors, embedded in your process."""

from agnt5 import _other_sdk as _other_sdk  # first: it refuses a mixed installation
from agnt5 import direct_runs as direct_runs  # workflows need it that are called where no run is
from agnt5.agent import Agent, AgentRegistry, AgentResult
from agnt5.agent_tools import Handoff
from agnt5.class_workflow import Workflow
from agnt5.client import AsyncClient, Client
from agnt5.context import Context, FunctionContext, WorkflowContext, get_current_context
from agnt5.exceptions import (
    ActivationError,
    AGNT5Error,
    CheckpointError,
    ConfigurationError,
    ExecutionError,
    InvalidInputError,
    NondeterminismError,
    OverloadedError,
    PayloadError,
    PayloadTooLargeError,
    RecordedError,
    RetryError,
    RunError,
    RunNotFoundError,
    RuntimeClosedError,
    StateError,
    StepTimeoutError,
    StoreError,
    UnknownComponentError,
    UnknownOutcomeError,
)
from agnt5.function import function
from agnt5.policies import BackoffPolicy, BackoffType, RecoveryPolicy, RetryPolicy
from agnt5.registry import FunctionRegistry, WorkflowRegistry
from agnt5.responses import (
    Event,
    EventsResponse,
    RunErrorDetail,
    RunResponse,
    RunStatus,
    StatusResponse,
    SubmitResponse,
)
from agnt5.runtime import Runtime, rebuild_index
from agnt5.task import task
from agnt5.tool import Tool, ToolRegistry, tool
from agnt5.workflow import workflow

__all__ = [
    "AGNT5Error",
    "ActivationError",
    "Agent",
    "AgentRegistry",
    "AgentResult",
    "AsyncClient",
    "BackoffPolicy",
    "BackoffType",
    "CheckpointError",
    "Client",
    "ConfigurationError",
    "Context",
    "Event",
    "EventsResponse",
    "ExecutionError",
    "FunctionContext",
    "FunctionRegistry",
    "Handoff",
    "InvalidInputError",
    "NondeterminismError",
    "OverloadedError",
    "PayloadError",
    "PayloadTooLargeError",
    "RecordedError",
    "RecoveryPolicy",
    "RetryError",
    "RetryPolicy",
    "RunError",
    "RunErrorDetail",
    "RunNotFoundError",
    "RunResponse",
    "RunStatus",
    "Runtime",
    "RuntimeClosedError",
    "StateError",
    "StatusResponse",
    "StepTimeoutError",
    "StoreError",
    "SubmitResponse",
    "Tool",
    "ToolRegistry",
    "UnknownComponentError",
    "UnknownOutcomeError",
    "Workflow",
    "WorkflowContext",
    "WorkflowRegistry",
    "function",
    "get_current_context",
    "rebuild_index",
    "task",
    "tool",
    "workflow",
]
