"""The work behind a body's steps: kept until it is started, dropped when it is settled."""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context

from agnt5.actors.branch import Body, Branch, spawn
from agnt5.actors.images import made_of
from agnt5.actors.outcomes import inline_failure, inline_report
from agnt5.actors.ports import After, Channel, FunctionWork, InlineWork, Work
from agnt5.actors.tracing import enter_inside
from agnt5.actors.values import RunValues
from agnt5.events.keys import scope_of
from agnt5.events.run import commands as c
from agnt5.exceptions import BodyClosed, ExecutionError, PayloadError, RuntimeClosedError


class Works:
    """What one body has asked for, by key: work not settled yet, inline steps under way, values."""

    def __init__(self, body: Body, channel: Channel, context: Context, values: RunValues) -> None:
        self.inline: dict[str, asyncio.Future[None]] = {}
        self._body = body
        self._channel = channel
        self._context = context
        self._works: dict[str, Work] = {}
        self._contexts: dict[str, Context] = {}
        self._values: dict[str, object] = {}
        self._state = values

    def keep(self, key: str, work: Work | None) -> None:
        """Keep work until its attempt is started."""
        if work is not None:
            self._works[key] = work
        if isinstance(work, InlineWork):
            self._contexts[key] = copy_context()

    def start(self, key: str, attempt: int) -> None:
        """Start an attempt: at an executor, or here when only the body can run it."""
        if isinstance(work := self._works.get(key), FunctionWork):
            self._channel.execute(key, attempt, work)
        elif work is not None:
            inner, context = Branch(self._body, scope_of(key)), self._contexts.pop(key)
            enter_inside(context, self._body.run_id, key, attempt)
            task = spawn(inner, self._run_inline(key, work), context=context, name=f"step {key}")

            def over(_: object) -> None:
                work.discard()  # cancelled before its first turn it leaves the work unstarted
                self._state.end(key)

            task.add_done_callback(over, context=self._context)
            self.inline[key] = task

    def hold_value(self, key: str, value: object) -> None:
        """The live result, so that the first run sees the object itself and not a copy."""
        self._values[key] = value

    def settle(self, key: str, after: After | None = None) -> object:
        """It has its outcome: the live value, if there is one.

        What ran in an earlier incarnation has changed other objects than those of this body: its
        after-image is put back into these.
        """
        self.inline.pop(key, None)
        work, ran_here = self._works.get(key), key in self._values
        self.drop(key)
        if after and not ran_here and work is not None and work.images is not None:
            work.images.restore(after)
        return self._values.pop(key, None)

    def cancel(self, key: str) -> None:
        """Nobody wants it any more."""
        task = self.inline.pop(key, None)
        if task is not None:
            task.cancel()
        self.drop(key)

    def drop(self, key: str) -> None:
        """Forget work; close what was handed over unstarted."""
        work = self._works.pop(key, None)
        unstarted = self._contexts.pop(key, None)
        if unstarted is not None and isinstance(work, InlineWork):
            work.discard()

    def close(self) -> None:
        """Forget all of it."""
        for key in list(self._works):
            self.drop(key)

    async def _run_inline(self, key: str, work: InlineWork) -> None:
        images = work.images
        before = images.capture() if images is not None else {}
        try:
            held, report = await inline_report(key, work, self._channel.encode)
        except (asyncio.CancelledError, BodyClosed):
            if self._body.closed or key not in self.inline:
                raise
            error = ExecutionError(f"step {key!r} was cancelled from inside")
            held, report = inline_failure(key, error)
        match held, report:
            case (_, RuntimeClosedError()), c.ReportFailure() if self._body.frozen:
                return  # the house closes: the step has not failed, but is owed
            case _:
                pass
        if images is not None:
            report.after = made_of(key, before, images)
        if isinstance(report, c.ReportSuccess):
            report.state, report.deleted = self._state.made_in(key)
        try:
            self._check(key, report)
        except PayloadError as error:
            held, report = inline_failure(key, error)
        self._values[key] = held
        self._channel.command(report)

    def _check(self, key: str, report: c.ReportSuccess | c.ReportFailure) -> None:
        if report.after is not None:
            self._channel.check_size(report.after, f"changed arguments of step {key!r}")
        if isinstance(report, c.ReportSuccess) and report.state is not None:
            self._channel.check_size(report.state, f"state set by step {key!r}")
