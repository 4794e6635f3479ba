"""What a body answers to people outside while it goes on: queries, and updates.

The handler of a query looks, and is called by whoever asks. The handler of an update is a branch of
the body: it is handed its update in the order of the log, live and on replay alike, may make
durable calls, and what it says in the end is recorded once.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Protocol

from agnt5.actors.branch import Body, Branch, spawn
from agnt5.actors.ports import Channel
from agnt5.actors.tracing import enter_inside
from agnt5.events.keys import update_branch
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState
from agnt5.exceptions import BodyClosed, UpdateError
from agnt5.payloads import decode, encode_error, faithful


@dataclass(frozen=True, slots=True)
class UpdateHandler:
    """Who handles the updates of a name, and who says whether they may be handled."""

    handle: Callable[[Any], object]
    validator: Callable[[Any], object] | None
    context: Context


class Host(Body, Protocol):
    """The script, as its handlers see it."""

    state: RunState

    @property
    def replaying(self) -> bool:
        """Whether recorded facts are still being handed out."""
        ...


class Handlers:
    """The handlers of one body."""

    __slots__ = ("_channel", "_host", "_unsent", "queries", "updates")

    def __init__(self, host: Host, channel: Channel) -> None:
        self.queries: dict[str, Callable[..., object]] = {}
        self.updates: dict[str, UpdateHandler] = {}
        self._host = host
        self._channel = channel
        self._unsent: list[c.AnswerUpdate] = []
        """Answers that the log does not hold, and that must wait until its replay is over."""

    def set_update(
        self,
        name: str,
        handle: Callable[[Any], object],
        validator: Callable[[Any], object] | None,
    ) -> None:
        """Handle the updates of this name from now on."""
        self.updates[name] = UpdateHandler(handle, validator, copy_context())

    def deliver(self, update: f.UpdateReceived) -> None:
        """Begin to handle an update, in a branch of its own."""
        handler = self.updates.get(update.name)
        branch = Branch(self._host, update_branch(update.update_id))
        context = copy_context() if handler is None else handler.context.copy()
        enter_inside(context, self._host.run_id, branch.path)
        spawn(branch, self._handle(update, handler), context=context, name=f"update {update.name}")

    def go_live(self) -> None:
        """The replay is over: say what the log does not hold."""
        unsent, self._unsent = self._unsent, []
        for answer in unsent:
            self._channel.command(answer)

    async def _handle(self, update: f.UpdateReceived, handler: UpdateHandler | None) -> None:
        where = f"update {update.name!r} ({update.update_id})"
        try:
            handler = handler or self._missing(update.name)
            payload = decode(update.payload, where=f"payload of {where}")
            value = handler.handle(payload)
            if inspect.isawaitable(value):
                value = await value
            answer = c.AnswerUpdate(
                update.update_id, self._channel.encode(value, f"answer to {where}")
            )
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the client decides what it means
            answer = _failure(update, error)
        except (asyncio.CancelledError, BodyClosed):
            if self._host.closed:
                raise
            answer = _failure(update, UpdateError(f"{where} was cancelled by its own handler"))
        self._answer(answer)

    def _missing(self, name: str) -> UpdateHandler:
        """The code has changed since the update was accepted."""
        has = ", ".join(map(repr, self.updates)) or "none"
        msg = f"the body has no handler of the update {name!r} any more; it has: {has}"
        raise UpdateError(msg)

    def _answer(self, answer: c.AnswerUpdate) -> None:
        if not self._host.replaying:
            self._channel.command(answer)
        elif self._host.state.updates.get(answer.update_id) is None:
            self._unsent.append(answer)


def _failure(update: f.UpdateReceived, error: BaseException) -> c.AnswerUpdate:
    return c.AnswerUpdate(update.update_id, error=encode_error(faithful(error)))
