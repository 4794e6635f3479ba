"""Runs the command as a user does, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

EMPTY = {"NO_COLOR", "FORCE_COLOR", "AGNT5_TRACEBACK", "TERM", "COLUMNS"}


def agnt5(*arguments, cwd, without=(), **variables):
    """Run ``python -m agnt5``; ``without`` names modules that cannot be imported there."""
    kept = {k: v for k, v in os.environ.items() if k not in EMPTY and not k.startswith("_AGNT5")}
    command = [sys.executable, "-m", "agnt5", *arguments]
    if without:
        hidden = f"import sys; sys.modules.update(dict.fromkeys({list(without)!r}))"
        start = "import runpy; runpy.run_module('agnt5', run_name='__main__', alter_sys=True)"
        command = [sys.executable, "-c", f"{hidden}; {start}", *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
