"""The engines, and for each an environment of its own with pinned requirements."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPOSITORY = ROOT.parent
HOME = ROOT / ".venvs"


@dataclass(frozen=True)
class Engine:
    name: str
    kind: str  # its adapter module, its environment and its requirements
    imports: str  # what a program of this engine imports
    durability: str  # what is on disk when a step is reported done
    variant: str = ""

    @property
    def module(self) -> str:
        return f"harness.engines.{self.kind}"

    @property
    def python(self) -> str:
        return str(HOME / self.kind / "bin" / "python")


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("agnt5", "agnt5", "agnt5", "SQLite WAL, synchronous=FULL, group commit", "full"),
        Engine("agnt5-process", "agnt5", "agnt5", "as agnt5, synchronous=NORMAL", "process"),
        Engine("dbos", "dbos", "dbos", "SQLite rollback journal, synchronous=FULL, commit a step"),
        Engine(
            "langgraph",
            "langgraph",
            "langgraph.func, langgraph.checkpoint.sqlite.aio",
            "SQLite WAL, synchronous=FULL; written in the background of the next step",
        ),
    )
}


def prepare(engine: Engine) -> None:
    """Make the environment of an engine, unless it is there with these requirements."""
    home = HOME / engine.kind
    if engine.kind == "agnt5":
        what = ["-e", str(REPOSITORY)]
        pinned = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    else:
        what = ["-r", str(ROOT / "requirements" / f"{engine.kind}.txt")]
        pinned = (ROOT / "requirements" / f"{engine.kind}.txt").read_text(encoding="utf-8")
    stamp, wanted = home / "made-from", f"{sys.version}\n{REPOSITORY}\n{pinned}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"making the environment of {engine.kind} in {home}", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    # By the pip of the caller: there are Pythons without `ensurepip`.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    install = [*_pip(), "--python", engine.python, "install", "--quiet"]
    subprocess.run([*install, "--disable-pip-version-check", *what], check=True)
    stamp.write_text(wanted, encoding="utf-8")


def _pip() -> list[str]:
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (sys.executable, str(base)):
        pip = [python, "-m", "pip"]
        if not subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
            return pip
    raise SystemExit("no pip: neither this Python nor the one that it was made from has one")
