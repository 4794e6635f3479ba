"""What a batch is given and what it answers with: plain values, the same on every replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agnt5.exceptions import AGNT5Error

_RUNNING = {"pending", "queued", "running"}
_COMPLETED = {"completed", "partial_failure", "failed", "cancelled"}


@dataclass
class BatchConfig:
    """How a batch is to be run.

    Args:
        max_concurrency: How many items run at once.
        continue_on_failure: Whether items that have not begun still begin after one has failed.
        batch_timeout_ms: For the whole batch, milliseconds.
        default_item_timeout_ms: For an item that names none, milliseconds.
    """

    max_concurrency: int = 10
    continue_on_failure: bool = True
    batch_timeout_ms: int = 3_600_000
    default_item_timeout_ms: int = 30_000


@dataclass
class BatchItemInput:
    """One item with what is known about it.

    Args:
        input: What the function is given: a dict is its arguments, anything else its argument.
        index: The item's number in the results; its position by default.
        item_id: A name of your own.
        metadata: Whatever belongs to it; it is not given to the function.
        timeout_ms: For this item, milliseconds; instead of the timeout of the batch.
    """

    input: Any = None
    index: int | None = None
    item_id: str | None = None
    metadata: dict[str, Any] | None = None
    timeout_ms: int | None = None


@dataclass
class BatchItemError:
    """Why an item failed.

    Attributes:
        code: The ``code`` of its exception, else ``EXECUTION_ERROR``.
        message: The name of its exception, and what that says.
    """

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass
class BatchItemResult:
    """What became of one item. Times are those of the log, so that a replay gives the same.

    Attributes:
        index: Its place among the items, from 0.
        item_id: The name that the caller gave it.
        output: What it gave, if it completed.
        error: Why it failed.
        duration_ms: Milliseconds from its beginning to its end, with all attempts.
        started_at: When what freed its slot was recorded, in UTC.
        completed_at: When its outcome was.
    """

    index: int
    run_id: str
    """The key of the item's step, as in the events of the run."""
    status: str
    """``completed``, ``failed`` or ``cancelled`` (not begun, because another one failed)."""
    item_id: str | None = None
    output: Any = None
    error: BatchItemError | None = None
    duration_ms: int | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def is_success(self) -> bool:
        """Whether it completed."""
        return self.status == "completed"

    @property
    def is_failed(self) -> bool:
        """Whether it failed."""
        return self.status == "failed"


@dataclass
class BatchStats:
    """The items of a batch, counted. Durations are milliseconds.

    Attributes:
        total_items: How many there are.
        completed_items: How many gave an output.
        failed_items: How many raised.
        cancelled_items: How many were not begun.
        pending_items: How many have no outcome yet; 0 for a batch that has ended.
        duration_ms: Of the whole batch.
        avg_item_duration_ms: The mean of the items that ran.
    """

    total_items: int = 0
    completed_items: int = 0
    failed_items: int = 0
    cancelled_items: int = 0
    pending_items: int = 0
    duration_ms: int = 0
    avg_item_duration_ms: float = 0.0

    @classmethod
    def of(cls, results: list[BatchItemResult], duration_ms: int) -> BatchStats:
        """Count."""
        by = [each.status for each in results]
        taken = [each.duration_ms for each in results if each.duration_ms is not None]
        return cls(
            len(results),
            by.count("completed"),
            by.count("failed"),
            by.count("cancelled"),
            by.count("pending"),
            duration_ms,
            sum(taken) / len(taken) if taken else 0.0,
        )

    @property
    def status(self) -> str:
        """The status of a batch that has ended so."""
        if self.completed_items == self.total_items:
            return "completed"
        if not self.failed_items:
            return "cancelled"
        return "partial_failure" if self.completed_items else "failed"


@dataclass
class BatchResult:
    """A batch that has ended. Its results are in the order of its items.

    Attributes:
        batch_id: The same on every replay.
        results: What became of each item.
        stats: The items, counted.
        trace_id: The trace of the run.
        created_at: When the batch began, in UTC.
    """

    batch_id: str
    status: str
    """``completed``, ``partial_failure``, ``failed`` (no item completed) or ``cancelled``."""
    results: list[BatchItemResult] = field(default_factory=list)
    stats: BatchStats = field(default_factory=BatchStats)
    trace_id: str | None = None
    created_at: datetime | None = None

    @property
    def is_success(self) -> bool:
        """Whether every item completed."""
        return self.status == "completed"

    @property
    def is_partial_failure(self) -> bool:
        """Whether some items completed and others did not."""
        return self.status == "partial_failure"

    @property
    def outputs(self) -> list[Any]:
        """What the items gave, by index; None for those that did not complete."""
        ordered = sorted(self.results, key=lambda each: each.index)
        return [each.output if each.is_success else None for each in ordered]

    def successful_outputs(self) -> list[Any]:
        """What the completed items gave, by index."""
        ordered = sorted(self.results, key=lambda each: each.index)
        return [each.output for each in ordered if each.is_success]

    def failed_items(self) -> list[BatchItemResult]:
        """The items that failed."""
        return [each for each in self.results if each.is_failed]


@dataclass
class BatchStatusResult:
    """Where a batch is that was handed in from outside.

    A shape of the platform's SDK; nothing in this version makes one.

    Attributes:
        batch_id: Which batch.
        status: How it stands.
        results: What became of each item so far.
        stats: The items, counted.
        trace_id: Its trace.
        submitted_at: When it was handed in, in UTC.
        started_at: When its first item began.
        completed_at: When its last one ended.
    """

    batch_id: str
    status: str
    results: list[BatchItemResult] = field(default_factory=list)
    stats: BatchStats = field(default_factory=BatchStats)
    trace_id: str | None = None
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status in _RUNNING

    @property
    def is_completed(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status in _COMPLETED


@dataclass
class CancelBatchResult:
    """What the cancelling of a batch came to.

    A shape of the platform's SDK; nothing in this version makes one.

    Attributes:
        batch_id: Which batch.
        status: How it stands.
        cancelled_items: How many were cut off, or not begun.
        completed_items: How many had completed.
    """

    batch_id: str
    status: str
    cancelled_items: int = 0
    completed_items: int = 0


class BatchError(AGNT5Error):
    """Not every item of a batch completed.

    Attributes:
        message: What happened.
        batch_result: The batch, item by item.
    """

    code = "BATCH_FAILED"

    def __init__(self, message: str, batch_result: BatchResult | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.batch_result = batch_result
