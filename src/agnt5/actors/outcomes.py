"""What comes of a call, a step or a body: as it is reported, and as the body sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, assert_never

from pydantic import JsonValue

from agnt5.actors.branch import StepFuture
from agnt5.actors.continuation import Continuation
from agnt5.actors.ports import InlineWork
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.exceptions import PayloadError, StepTimeoutError
from agnt5.payloads import decode, decode_error, encode_error, faithful


def settle(future: StepFuture, outcome: f.Outcome, original: object) -> None:
    """Give the outcome to whoever waits; the live object itself where it is at hand.

    Raises:
        PayloadError: When a recorded value cannot be rebuilt with the code that is here.
    """
    match outcome:
        case f.StepCompleted():
            known = original is not None
            future.set_result(original if known else _decoded(outcome.output, outcome.key))
        case f.StepFailed():
            future.set_exception(_error_of(outcome, original))
            # The failure is on record; a body that never looks at it is not a leak to report.
            future._log_traceback = False  # noqa: SLF001
        case f.TimerFired():
            future.set_result(None)
        case f.SignalConsumed():
            future.set_result(_decoded(outcome.payload, outcome.key))
        case f.SignalTimedOut():
            _time_out(future, f"no signal came for {outcome.key!r} in time")
        case f.UserReplied():
            future.set_result(future.convert(outcome) if future.convert else outcome.answer)
        case f.UserInputExpired():
            _expire(future, outcome)
        case f.ChildFinished():
            _end_child(future, outcome)
        case _:
            assert_never(outcome)


def _expire(future: StepFuture, expired: f.UserInputExpired) -> None:
    if expired.answer is not None:
        future.set_result(future.convert(expired) if future.convert else expired.answer)
        return
    _time_out(future, f"nobody answered {expired.key!r} in time")


def _time_out(future: StepFuture, message: str) -> None:
    future.set_exception(StepTimeoutError(message))
    future._log_traceback = False  # noqa: SLF001


def _end_child(future: StepFuture, finished: f.ChildFinished) -> None:
    if finished.status == "completed":
        future.set_result(_decoded(finished.output, finished.key))
        return
    error = decode_error(finished.error)
    error.add_note(f"raised by child run {future.run_id}")
    future.set_exception(error)
    future._log_traceback = False  # noqa: SLF001


async def inline_report(
    key: str, work: InlineWork, encode: Callable[[object, str], JsonValue]
) -> tuple[object, c.ReportSuccess | c.ReportFailure]:
    """Run an inline step: what the body is handed on the first pass, and what is reported."""
    started = time.perf_counter_ns()
    try:
        value = await work.start()
        output = encode(value, f"result of step {key!r}")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the body decides what it means
        return inline_failure(key, error)
    taken = (time.perf_counter_ns() - started) // 1000
    return value, c.ReportSuccess(key, 0, output, taken)


def inline_failure(key: str, error: BaseException) -> tuple[object, c.ReportFailure]:
    """The same, of an inline step that failed."""
    seen = faithful(error)
    recorded = encode_error(seen)
    return (recorded, seen), c.ReportFailure(key, 0, recorded, retryable=False)


def last_command(
    task: asyncio.Future[Any], encode: Callable[[object, str], JsonValue], where: str
) -> c.RunCommand:
    """What the end of a body means for its run."""
    if task.cancelled():
        return c.CancelRun()
    error = task.exception()
    if isinstance(error, Continuation):
        return error.command
    if error is None:
        try:
            return c.CompleteRun(encode(task.result(), where))
        except PayloadError as problem:
            error = problem
    return c.FailRun(encode_error(error))


def _error_of(failed: f.StepFailed, original: object) -> BaseException:
    """The exception itself when it is at hand and is the one on record, else a rebuilt one."""
    match original:
        case (recorded, BaseException() as error) if recorded == failed.error:
            return error
        case _:
            return decode_error(failed.error)


def _decoded(value: JsonValue, key: str) -> object:
    return decode(value, where=f"recorded result of {key!r}")
