"""The process under test, as the runner sees it: spawned, asked in JSON lines, killed."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class HostError(Exception):
    """The process under test died, is silent, or reports an error."""


class Process:
    def __init__(self, argv: list[str], log: Path, root: Path) -> None:
        self._log = log.open("ab")
        self.spawned = time.perf_counter()
        self._child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(root)},
            cwd=log.parent,
            start_new_session=True,
        )
        self._buffer = b""
        try:
            self.boot = self._read(120)
        except HostError:
            self.kill()
            raise

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def call(self, op: str, wait: float = 300, **arguments: Any) -> dict[str, Any]:
        assert self._child.stdin is not None
        self._child.stdin.write((json.dumps({"op": op, **arguments}) + "\n").encode())
        self._child.stdin.flush()
        answer = self._read(wait)
        if "error" in answer:
            raise HostError(answer["error"])
        return answer

    def _read(self, wait: float) -> dict[str, Any]:
        assert self._child.stdout is not None
        end, fd = time.monotonic() + wait, self._child.stdout.fileno()
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise HostError(f"no answer in {wait:.0f} s")
            data = os.read(fd, 1 << 16)
            if not data:
                raise HostError(f"host ended with {self._child.wait()}")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def kill(self) -> None:
        """As `kill -9` does: nothing is flushed, nothing is said."""
        if self.alive:
            os.killpg(self._child.pid, signal.SIGKILL)  # it leads a group of its own
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._log):
            with contextlib.suppress(OSError):
                pipe.close()

    def quit(self) -> None:
        with contextlib.suppress(HostError, OSError):
            self.call("stop", wait=20)
            self._child.wait(5)
        self.kill()
