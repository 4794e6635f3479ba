"""``ctx.batch`` and ``ctx.map``: one function over many items, some at a time.

A batch has no task of its own: it is a future that asks for the next item when an outcome frees a
slot. All that it decides, it decides from outcomes, which a replay delivers in the same order.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agnt5.actors.script import Script
from agnt5.batch import (
    BatchError,
    BatchItemError,
    BatchItemInput,
    BatchItemResult,
    BatchResult,
    BatchStats,
)
from agnt5.calls import MISSING, Call, line_of, microseconds, recorded_input
from agnt5.events.keys import batch_branch, operation_key
from agnt5.exceptions import AGNT5Error, InvalidInputError, RecordedError
from agnt5.registry import (
    FunctionComponent,
    FunctionRegistry,
    WorkflowComponent,
    WorkflowRegistry,
)
from agnt5.step_calls import StepCalls

_ENVELOPE = {"input", "index", "item_id", "metadata", "timeout_ms"}
_SCALARS = (int, float, type(None))

Target = FunctionComponent | WorkflowComponent


@dataclass(slots=True)
class _Item:
    """An item that waits for a slot, with its place in the run."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    timeout: float | None
    result: BatchItemResult


class BatchFuture(asyncio.Future[Any]):
    """The result of a batch. Cancelling it gives up the items that run, and begins no more."""

    def __init__(
        self,
        script: Script,
        key: str,
        items: Sequence[_Item],
        start: Callable[[_Item], asyncio.Future[Any]],
        finish: Callable[[BatchResult], object],
        *,
        slots: int,
        go_on: bool,
    ) -> None:
        super().__init__(loop=script.loop)
        self.key = key
        self._script = script
        self._items = items
        self._start = start
        self._finish = finish
        self._slots = slots
        self._go_on = go_on
        self._next = 0
        self._running: dict[asyncio.Future[Any], _Item] = {}
        self._began_at = script.time
        self._fill()

    @property
    def _children(self) -> list[asyncio.Future[Any]] | None:
        """What it waits for, as ``asyncio.gather`` has it: this decides whether a run may park."""
        running = list(self._running)
        return None if any(each.done() for each in running) else running

    def cancel(self, msg: Any | None = None) -> bool:
        """Give up."""
        if not super().cancel(msg):
            return False
        for each in list(self._running):
            each.cancel()
        return True

    def _fill(self) -> None:
        while self._next < len(self._items) and len(self._running) < self._slots:
            item = self._items[self._next]
            self._next += 1
            item.result.started_at = _when(self._script.time)
            step = self._start(item)
            self._running[step] = item
            step.add_done_callback(self._step_ended)
        if not self._running:
            self._end()

    def _step_ended(self, step: asyncio.Future[Any]) -> None:
        item = self._running.pop(step)
        if self.done() or self._script.closed:
            return
        result, now = item.result, _when(self._script.time)
        result.completed_at = now
        if result.started_at is not None:
            result.duration_ms = round((now - result.started_at).total_seconds() * 1000)
        error = asyncio.CancelledError() if step.cancelled() else step.exception()
        if error is None:
            result.status, result.output = "completed", step.result()
        else:
            result.status, result.error = "failed", _described(error)
            if not self._go_on:
                self._slots = 0
        try:
            self._fill()
        except Exception as problem:  # noqa: BLE001 - whoever awaits the batch is told
            self.set_exception(problem)

    def _end(self) -> None:
        results = [item.result for item in self._items]
        stats = BatchStats.of(results, (self._script.time - self._began_at) // 1000)
        unique = f"{self._script.run_id}\n{self.key}"
        batch_id = "batch_" + hashlib.sha256(unique.encode()).hexdigest()[:24]
        created_at, trace_id = _when(self._began_at), self._script.state.trace_id
        result = BatchResult(batch_id, stats.status, results, stats, trace_id, created_at)
        try:
            self.set_result(self._finish(result))
        except BatchError as error:
            self.set_exception(error)
            # The failures are on record; a body that never looks at them is not a leak to report.
            self._log_traceback = False


class BatchCalls(StepCalls):
    """One function over many items."""

    def batch(
        self,
        func: object,
        items: Iterable[Any],
        max_concurrency: int = 10,
        continue_on_failure: bool = True,
        timeout_per_item: float | None = None,
    ) -> asyncio.Future[BatchResult]:
        """Run a function once for each item, some at a time, each as a step with its own policy.

        Args:
            func: A ``@function``, a workflow, or the name of one of these.
            items: A dict is given as keyword arguments, anything else as the one argument; a
                :class:`BatchItemInput`, or a dict like one, also names and limits its item.
            max_concurrency: How many items run at once.
            continue_on_failure: False: after a failure no more items begin; those that run may
                end, those that never began count as cancelled.
            timeout_per_item: Seconds for each item with all its attempts, from when it begins;
                unlimited by default.

        Returns:
            An awaitable of a :class:`BatchResult`: results in the order of the items.

        Raises:
            InvalidInputError: When an item or a setting is wrong; nothing was begun.
            TypeError: When an item does not fit the function; nothing was begun.
            PayloadTooLargeError: When an item exceeds the payload limit; nothing was begun.
        """
        line = line_of(2)
        seconds = timeout_per_item
        return self._batch(func, items, max_concurrency, continue_on_failure, seconds, line, _same)

    def map(
        self,
        func: object,
        items: Iterable[Any],
        max_concurrency: int = 10,
        *,
        timeout_per_item: float | None = None,
    ) -> asyncio.Future[list[Any]]:
        """Run a function once for each item; the outputs in the order of the items.

        After the first failure no more items begin. Everything else is as for :meth:`batch`.

        Args:
            func: A ``@function``, a workflow, or the name of one of these.
            items: As for :meth:`batch`.
            max_concurrency: How many items run at once.
            timeout_per_item: Seconds for each item with all its attempts; unlimited by default.

        Raises:
            BatchError: When awaited: an item failed; its ``batch_result`` says what became of each.
            InvalidInputError: As :meth:`batch`; so do the others.
        """
        line = line_of(2)
        return self._batch(func, items, max_concurrency, False, timeout_per_item, line, _outputs)

    def _batch(
        self,
        func: object,
        items: Iterable[Any],
        max_concurrency: int,
        continue_on_failure: bool,
        timeout: float | None,
        line: str,
        finish: Callable[[BatchResult], object],
    ) -> BatchFuture:
        target = _target(func)
        _check_settings(max_concurrency, continue_on_failure, timeout)
        if isinstance(items, str | bytes | Mapping | set | frozenset) or not isinstance(
            items, Iterable
        ):
            msg = f"the items of a batch are a list or another ordered iterable, not {items!r:.80}"
            raise InvalidInputError(msg)
        script, name = self.script, target.name
        given = [_item(target, each, i, timeout) for i, each in enumerate(items)]
        for i, item in enumerate(given):
            _check_item(target, item, i, script)
        branch = script.place()
        path = batch_branch(branch.path, name, branch.occurrence(f"batch:{name}"))
        for i, item in enumerate(given):
            item.result.run_id = operation_key(path, name, i)

        def start(item: _Item) -> asyncio.Future[Any]:
            seconds, key = item.timeout, item.result.run_id
            call = Call(item.args, item.kwargs, MISSING, MISSING, line, place=key, limit=seconds)
            return self._run_step(target, call)

        return BatchFuture(
            script, path, given, start, finish, slots=max_concurrency, go_on=continue_on_failure
        )


def _same(result: BatchResult) -> object:
    return result


def _outputs(result: BatchResult) -> object:
    stats = result.stats
    if not stats.failed_items:
        return [each.output for each in result.results]
    first = result.failed_items()[0]
    msg = (
        f"{stats.failed_items} of {stats.total_items} items failed ({stats.cancelled_items} were"
        f" not begun); the first was item {first.index}: {first.error}"
    )
    raise BatchError(msg, result)


def _target(func: object) -> Target:
    if isinstance(func, FunctionComponent | WorkflowComponent):
        return func
    if isinstance(func, str):
        known = FunctionRegistry.get(func) or WorkflowRegistry.get(func)
        if known is not None:
            return known
        msg = f"a batch over {func!r}: there is none. {FunctionRegistry.hint(func)}"
        raise InvalidInputError(msg)
    msg = f"a batch runs a @function or a workflow, not {func!r}: decorate it"
    raise InvalidInputError(msg)


def _check_settings(max_concurrency: object, continue_on_failure: object, timeout: Any) -> None:
    if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int):
        msg = f"max_concurrency takes a whole number, not {max_concurrency!r}"
        raise InvalidInputError(msg)
    if max_concurrency < 1:
        msg = f"max_concurrency takes a number of at least 1, not {max_concurrency}"
        raise InvalidInputError(msg)
    if not isinstance(continue_on_failure, bool):
        msg = f"continue_on_failure takes True or False, not {continue_on_failure!r}"
        raise InvalidInputError(msg)
    _check_timeout(timeout, "timeout_per_item")


def _check_timeout(seconds: Any, what: str) -> None:
    if seconds is None:
        return
    try:
        positive = microseconds(seconds, what) > 0
    except ValueError as error:
        raise InvalidInputError(str(error)) from None
    if not positive:
        raise InvalidInputError(f"{what} must be more than 0")


def _item(target: Target, given: Any, position: int, timeout: float | None) -> _Item:
    if isinstance(given, BatchItemInput):
        envelope: BatchItemInput | None = given
    elif isinstance(given, dict) and "input" in given and set(given) <= _ENVELOPE:
        envelope = None if target.takes("input") else BatchItemInput(**given)
    else:
        envelope = None
    result = BatchItemResult(position, "", "cancelled")
    if envelope is not None:
        _check_envelope(envelope, position)
        result.index = position if envelope.index is None else envelope.index
        result.item_id = envelope.item_id
        if envelope.timeout_ms is not None:
            timeout = envelope.timeout_ms / 1000
        given = envelope.input
    if isinstance(given, dict) and _names_parameters(target, given):
        return _Item((), dict(given), timeout, result)
    return _Item((given,), {}, timeout, result)


def _check_envelope(envelope: BatchItemInput, position: int) -> None:
    for name, least in (("index", 0), ("timeout_ms", 1)):
        number: Any = getattr(envelope, name)
        whole = isinstance(number, int) and not isinstance(number, bool)
        if number is not None and (not whole or number < least):
            msg = f"item {position}: its {name} must be a whole number of at least {least}, or None"
            raise InvalidInputError(f"{msg}, not {number!r}")
    if envelope.item_id is not None and not isinstance(envelope.item_id, str):
        msg = f"item {position}: its item_id must be a text or None, not {envelope.item_id!r}"
        raise InvalidInputError(msg)


def _names_parameters(target: Target, given: dict[Any, Any]) -> bool:
    if not all(isinstance(name, str) for name in given):
        return False
    if given and all(target.takes(name) for name in given):
        return True
    try:
        target.check_call((), given)
    except TypeError:
        return False
    return True


def _check_item(target: Target, item: _Item, position: int, script: Script) -> None:
    try:
        target.check_call(item.args, item.kwargs)
    except TypeError as error:
        raise TypeError(f"item {position} of the batch does not fit: {error}") from None
    if not item.kwargs and isinstance(item.args[0] if item.args else None, _SCALARS):
        return
    recorded = recorded_input(item.args, item.kwargs)
    script.check_size(recorded, f"item {position} of a batch of {target.name!r}")


def _described(error: BaseException) -> BatchItemError:
    """In words that are the same for the error itself and for what a replay rebuilds of it."""
    name, code = type(error).__name__, "EXECUTION_ERROR"
    if isinstance(error, RecordedError):
        name = error.type_name.rpartition(":")[2].rpartition(".")[2] or name
    elif isinstance(error, AGNT5Error):
        code = error.code
    text = str(error)
    return BatchItemError(code, f"{name}: {text}" if text else name)


def _when(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1e6, UTC)
