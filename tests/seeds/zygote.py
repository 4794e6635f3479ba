"""Runs programs, each in a process of its own, forked from one that has imported agnt5 already.

Starting Python for each of some hundred programs costs more than all that they do. A job is a line
of JSON on stdin; the exit code of its process is a line on stdout.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Serve until stdin ends; in a forked process, become the program."""
    from agnt5 import Runtime  # noqa: F401 - the point: it imports everything

    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(Path(job["folder"]), job["env"])
            return
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def become(folder: Path, environment: dict[str, str]) -> None:
    """Run ``program.py`` of a folder as the main program."""
    os.chdir(folder)
    os.environ.update(environment)
    for number, name in enumerate(("/dev/null", "stdout", "stderr")):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC * bool(number), 0o600)
        os.dup2(file, number)
        os.close(file)
    program = folder / "program.py"
    code = compile(program.read_text(encoding="utf-8"), str(program), "exec")
    exec(code, vars(sys.modules["__main__"]))


if __name__ == "__main__":
    main()
