"""Runs for workflows that are called directly: in the runtime of the process, durable as any."""

from __future__ import annotations

import asyncio

from agnt5.events.codec import decode_fact
from agnt5.events.run.facts import RunFailed
from agnt5.exceptions import RunError
from agnt5.hosting import find_runtime
from agnt5.new_run import NewRun
from agnt5.own_run import set_start
from agnt5.payloads import decode_error
from agnt5.responses import RunResponse
from agnt5.runtime import Runtime


async def start_alone(kind: str, name: str, given: dict[str, object]) -> object:
    """The output of a run of its own; questions and sleeps in it are waited for.

    Raises:
        BaseException: The run's own failure, of its own class.
        RunError: When it was cancelled or suspended.
    """
    runtime = find_runtime()
    response = await runtime.call_async(lambda: _to_its_end(runtime, kind, name, given))
    return response.output


async def _to_its_end(
    runtime: Runtime, kind: str, name: str, given: dict[str, object]
) -> RunResponse:
    runs = runtime.runs
    accepted = await runs.submit(NewRun(name, given, kind))
    response = await runs.result(accepted.run_id, None)
    if response.is_success:
        return response
    last = await asyncio.to_thread(runs.bus.log.last, accepted.run_id)
    fact = None if last is None else decode_fact(last)
    if isinstance(fact, RunFailed):
        error = decode_error(fact.error)
        error.add_note(f"in run {accepted.run_id} of {kind} {name!r}")
        raise error
    code, message = str(response.status).upper(), f"it is {response.status}"
    if response.error is not None:
        code, message = response.error.code, response.error.message
    text = f"run {accepted.run_id} of {kind} {name!r} gave no result: {message}"
    raise RunError(text, run_id=accepted.run_id, error_code=code)


set_start(start_alone)
