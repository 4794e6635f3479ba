"""Replays a run in another process, where sets of texts have another order.

Run as ``python -m agnt5.testing.elsewhere`` by :func:`replay_elsewhere`, with a request on its
standard input. It imports the module of the workflow anew, by name or by its file.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel

from agnt5.events.codec import decode_history
from agnt5.events.log import StoredFact
from agnt5.exceptions import AGNT5Error, ConfigurationError
from agnt5.testing.again import replay_again
from agnt5.testing.subject import Subject

_PATIENCE_S = 60.0
_SEED = 1
"""Of this process it is chance, most likely: another one."""


class _Fact(BaseModel):
    topic: str
    state: str
    at: int
    version: int


class Request(BaseModel):
    """What is to be replayed."""

    run_id: str
    module: str
    file: str
    path: list[str]
    facts: list[_Fact]


def replay_elsewhere(subject: Subject, run_id: str, stored: list[StoredFact]) -> str | None:
    """Replay a finished run in another process.

    Args:
        subject: Its workflow, which must be defined by a module.
        run_id: The run.
        stored: All its facts.

    Returns:
        What was different there, or None.

    Raises:
        ConfigurationError: When the workflow cannot be imported there.
    """
    function = inspect.unwrap(subject.function)
    file = inspect.getsourcefile(function)
    if file is None or "<locals>" in getattr(function, "__qualname__", ""):
        msg = f"{subject.name!r} is not defined by a module: leave elsewhere=True out"
        raise ConfigurationError(msg)
    facts = [
        _Fact(topic=f.topic, state=f.state.decode(), at=f.at, version=f.version) for f in stored
    ]
    path = [os.path.abspath(each) for each in sys.path]  # noqa: PTH100 - "" is where we are
    request = Request(run_id=run_id, module=function.__module__, file=file, path=path, facts=facts)
    done = subprocess.run(
        [sys.executable, "-m", "agnt5.testing.elsewhere"],
        input=request.model_dump_json(),
        env={**os.environ, "PYTHONHASHSEED": str(_SEED), "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    if done.returncode != 0:
        msg = f"{subject.name!r} could not be replayed in another process:\n{done.stderr[-2000:]}"
        raise ConfigurationError(msg)
    difference: str | None = json.loads(done.stdout.splitlines()[-1])
    return difference


def _import(request: Request) -> None:
    try:
        importlib.import_module(request.module)
    except ImportError:
        name = "__agnt5_elsewhere__" if request.module == "__main__" else request.module
        spec = importlib.util.spec_from_file_location(name, Path(request.file))
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


def _replayed(request: Request) -> str | None:
    _import(request)
    facts = [
        StoredFact(request.run_id, f.version, f.version, f.topic, f.state.encode(), f.at, "")
        for f in request.facts
    ]
    try:
        return replay_again(request.run_id, decode_history(facts))
    except AGNT5Error as error:
        return str(error)


if __name__ == "__main__":
    found = _replayed(Request.model_validate_json(sys.stdin.read()))
    sys.stdout.write(f"\n{json.dumps(found)}\n")
