"""What a workflow waits for: time, and signals."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from agnt5.actors.branch import StepFuture
from agnt5.body_context import BodyContext
from agnt5.calls import line_of, microseconds
from agnt5.events.keys import operation_key
from agnt5.events.run import commands as c
from agnt5.names import check_name
from agnt5.timeouts import DurableTimeout


class Waits(BodyContext):
    """Sleeps, timeouts, signals."""

    # Time.

    def sleep(self, seconds: float, name: str | None = None) -> Awaitable[None]:
        """Sleep; after a restart only what is left. A sleeping run costs no memory.

        Args:
            seconds: How long, at most ten years; 0 does nothing.
            name: A name for the log.

        Raises:
            ValueError: When it is not a number, negative, infinite or NaN.
        """
        delay_us = microseconds(seconds, "ctx.sleep")
        if name:
            check_name(name, "the name of a sleep")
        if delay_us == 0:
            done = self.script.loop.create_future()
            done.set_result(None)
            return done
        return self.timer(f"sleep:{name}" if name else "sleep", delay_us, line_of(2))

    def timeout(self, seconds: float) -> DurableTimeout:
        """``async with ctx.timeout(5): ...`` raises TimeoutError when the time is over.

        The deadline is recorded, so that it holds across restarts and replays the same way;
        ``asyncio.timeout`` races with the real clock again on every replay.

        Args:
            seconds: How long the block may take.

        Raises:
            ValueError: When it is not a number, negative, infinite or NaN.
            TimeoutError: On leaving the block, when the time was over.
        """
        delay_us = microseconds(seconds, "ctx.timeout")
        line = line_of(2)
        return DurableTimeout(lambda: self.timer("timeout", delay_us, line), seconds)

    def timer(self, name: str, delay_us: int, line: str | None = None) -> StepFuture:
        """A durable timer. :meth:`sleep` and :meth:`timeout` are made of it.

        Args:
            name: Its name, for its key.
            delay_us: Microseconds from now.
            line: Where in the code it was asked for, as ``file.py:12``.
        """
        branch = self.script.place()
        key = operation_key(branch.path, name, branch.occurrence(name))
        return self.script.request(key, lambda: c.RequestTimer(key, delay_us, line), line=line)

    # Signals.

    def wait_for_signal(self, name: str, *, timeout: float | None = None) -> Awaitable[Any]:
        """Wait for the next signal of this name and return its payload.

        Signals that came earlier and were not consumed are taken first, in order. One that comes
        when the time is over is kept for the next wait.

        Args:
            name: The name.
            timeout: Seconds to wait; recorded, so that it holds across restarts. Without limit if
                None.

        Raises:
            ValueError: When the name or the timeout is none.
            StepTimeoutError: When awaited: the time is over.
        """
        return self._signal(name, timeout, line_of(2))

    def signal(self, name: str, timeout: float | None = None) -> Awaitable[Any]:
        """Another spelling of :meth:`wait_for_signal`."""
        return self._signal(name, timeout, line_of(2))

    def _signal(self, name: str, timeout: float | None, line: str) -> StepFuture:
        check_name(name, "the name of a signal")
        what = "the timeout of a wait for a signal"
        timeout_us = None if timeout is None else microseconds(timeout, what)
        branch, label = self.script.place(), f"signal:{name}"
        key = operation_key(branch.path, label, branch.occurrence(label))
        return self.script.request(
            key, lambda: c.RequestSignal(key, name, line, timeout_us), line=line
        )
