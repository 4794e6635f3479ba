"""What a workflow waits for: time, signals, people."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from agnt5.actors.branch import StepFuture
from agnt5.body_context import BodyContext
from agnt5.calls import line_of, microseconds
from agnt5.events.keys import operation_key
from agnt5.events.run import commands as c
from agnt5.timeouts import DurableTimeout
from agnt5.types import Json


class Waits(BodyContext):
    """Sleeps, timeouts, signals, questions."""

    # Time.

    def sleep(self, seconds: float, name: str | None = None) -> Awaitable[None]:
        """Sleep; after a restart only what is left. A sleeping run costs no memory.

        Args:
            seconds: How long; 0 does nothing.
            name: A name for the log.

        Raises:
            ValueError: When it is not a number, negative, infinite or NaN.
        """
        delay_us = microseconds(seconds, "ctx.sleep")
        if delay_us == 0:
            done = self.script.loop.create_future()
            done.set_result(None)
            return done
        return self.timer(f"sleep:{name}" if name else "sleep", delay_us, line_of(2))

    def timeout(self, seconds: float) -> DurableTimeout:
        """``async with ctx.timeout(5): ...`` raises TimeoutError when the time is over.

        The deadline is recorded, so that it holds across restarts and replays the same way;
        ``asyncio.timeout`` races with the real clock again on every replay.

        Raises:
            ValueError: When it is not a number, negative, infinite or NaN.
        """
        delay_us = microseconds(seconds, "ctx.timeout")
        line = line_of(2)
        return DurableTimeout(lambda: self.timer("timeout", delay_us, line), seconds)

    def timer(self, name: str, delay_us: int, line: str | None = None) -> StepFuture:
        """A durable timer, in microseconds. :meth:`sleep` and :meth:`timeout` are made of it."""
        branch = self.script.place()
        key = operation_key(branch.path, name, branch.occurrence(name))
        return self.script.request(key, lambda: c.RequestTimer(key, delay_us, line), line=line)

    # The outside.

    def wait_for_signal(self, name: str) -> Awaitable[Any]:
        """Wait for the next signal of this name and return its payload.

        Signals that came earlier and were not consumed are taken first, in order.
        """
        if not isinstance(name, str) or not name:
            msg = f"a signal's name must be a text that is not empty, not {name!r}"
            raise ValueError(msg)
        line, branch = line_of(2), self.script.place()
        label = f"signal:{name}"
        key = operation_key(branch.path, label, branch.occurrence(label))
        return self.script.request(key, lambda: c.RequestSignal(key, name, line), line=line)

    def wait_for_user(
        self,
        question: str,
        input_type: str = "text",
        options: list[dict[str, Json]] | None = None,
        *,
        allow_custom: bool = False,
        skippable: bool = False,
    ) -> Awaitable[str | None]:
        """Ask a person and wait for the answer, for days if need be.

        Args:
            question: What the person is asked.
            input_type: ``text``, ``approval``, ``select`` or ``multiselect``.
            options: Dicts with ``id`` and ``label``.
            allow_custom: Whether an answer may be none of the options.
            skippable: Whether the person may decline to answer; the result is None then.

        Returns:
            The answer: a text, an option's id, or several ids joined with commas.
        """
        known = {"text", "approval", "select", "selection", "multiselect", "choice"}
        if input_type not in known:
            msg = f"unknown input_type {input_type!r}; known: {', '.join(sorted(known))}"
            raise ValueError(msg)
        line, branch = line_of(2), self.script.place()
        key = operation_key(branch.path, "wait_for_user", branch.occurrence("wait_for_user"))

        def command() -> c.RequestInput:
            return c.RequestInput(key, question, input_type, options, allow_custom, skippable, line)

        return self.script.request(key, command, line=line)
