"""A workflow that is called where no run is: a run of its own, in the runtime of the process."""

from __future__ import annotations

import asyncio
from typing import Any

from agnt5.events.codec import decode_fact
from agnt5.events.run import facts as f
from agnt5.exceptions import RunError
from agnt5.hosting import find_runtime
from agnt5.new_run import NewRun
from agnt5.payloads import decode_error
from agnt5.runtime import Runtime
from agnt5.workflow import run_starters


async def run_directly(name: str, given: dict[str, Any]) -> Any:
    """The output of a new run, in the process's runtime; one is started if there is none.

    Raises:
        Exception: What the run failed with, as it was recorded.
        RunError: When it was cancelled or cannot go on.
        InvalidInputError: When the arguments do not fit; nothing was written.
    """
    runtime = find_runtime()
    return await runtime.call_async(lambda: _outcome(runtime, NewRun(name, given, "workflow")))


async def _outcome(runtime: Runtime, new: NewRun) -> Any:
    run_id = (await runtime.runs.submit(new)).run_id
    response = await runtime.runs.result(run_id, None)
    if response.is_success:
        return response.output
    log = runtime.runs.bus.log
    last = await asyncio.to_thread(log.last, run_id)
    fact = None if last is None else decode_fact(last)
    if not isinstance(fact, f.RunFailed):
        # A suspended run is no error to a client, but it has no output to return here either.
        code, why = str(response.status).upper(), f"it is {response.status}"
        if response.error is not None:
            code, why = response.error.code, response.error.message
        msg = f"run {run_id} of workflow {new.component!r} gave no result: {why}"
        raise RunError(msg, run_id=run_id, error_code=code)
    error = decode_error(fact.error)
    error.add_note(f"raised by run {run_id} of workflow {new.component!r}")
    raise error


run_starters.append(run_directly)
