"""The tutorial, done as it says: build, kill, start again, look."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.docs.pages import ROOT, blocks, programs

PAGE = ROOT / "docs" / "tutorial" / "first-workflow.md"


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AGNT5_")}
    return {**kept, "PYTHONPATH": str(ROOT / "src")}


def run(name: str) -> str:
    return subprocess.run(
        [sys.executable, name], env=environment(), capture_output=True, check=True, text=True
    ).stdout


def killed(name: str, after: str) -> str:
    """Start a program, kill it once it has printed a line, and return all that it printed."""
    printed = Path("printed.txt")
    with printed.open("w") as out:
        program = subprocess.Popen([sys.executable, name], env=environment(), stdout=out)
        deadline = time.monotonic() + 30
        while after not in printed.read_text():
            assert program.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
    return printed.read_text()


def outputs() -> list[list[str]]:
    """What the console blocks of the page say that its programs print."""
    consoles = [b.source.splitlines() for b in blocks(PAGE) if b.language == "console"]
    return [lines[1:] for lines in consoles if "python orders.py" in lines[0] or "look" in lines[0]]


def test_the_tutorial_goes_as_it_says(tmp_path: Path) -> None:
    for name, source in programs(PAGE).items():
        (tmp_path / name).write_text(source)
    on_kill, on_restart, on_look = outputs()

    assert killed("orders.py", after="picking pen").splitlines() == on_kill
    assert run("orders.py").splitlines() == on_restart
    assert run("orders.py").splitlines() == on_restart[-1:]

    looked = run("look.py").splitlines()
    assert re.fullmatch("[0-9a-f]{26} completed", looked[0])
    assert [line.rstrip() for line in looked[1:]] == on_look[1:]
