"""The desk of what people say to a run and ask of it: answers, queries, updates.

A run that only waits lies on disk. To be asked something it comes into memory, replays, is asked
when its body is at rest, and leaves again; a query writes nothing.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from pydantic import JsonValue

from agnt5.actors.branch import CURRENT
from agnt5.actors.rest import Rest
from agnt5.actors.run import RunActor
from agnt5.actors.script import Script
from agnt5.calls import microseconds
from agnt5.events.codec import decode_history
from agnt5.events.projections import status_of
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import Phase, RunState, fold
from agnt5.events.run.succession import RunContinuedError
from agnt5.exceptions import (
    AGNT5Error,
    InvalidInputError,
    QueryError,
    StepTimeoutError,
    UpdateError,
)
from agnt5.names import check_name
from agnt5.payloads import decode, decode_error
from agnt5.runs import Runs
from agnt5.telemetry.current import calling

T = TypeVar("T")
Refusal = type[QueryError] | type[InvalidInputError]

_LOOK_AGAIN_S = 0.001
"""Rare and short: only while a run that is asked something comes into memory."""
_LATEST_S = 0.25
"""Between two looks at a run that cannot come into memory: each one reads its log."""


class Conversations:
    """Answers to questions, queries, updates. Lives on the runtime's loop."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._waiters: dict[tuple[str, str], list[asyncio.Future[f.UpdateAnswered]]] = {}
        runs.watchers.append(self)

    def close(self, reason: AGNT5Error) -> None:
        """Whoever waits is told."""
        for key in list(self._waiters):
            self._fail(key, reason)

    # Told by the bus.

    def ended(self, state: RunState, terminal: f.Terminal) -> None:  # noqa: ARG002 - the port's shape
        """A run has ended: the handlers that were under way have ended with it."""
        self._settle_all(state, _unanswered)

    def paused(self, state: RunState) -> None:
        """A run waits for a person, or is suspended."""
        if state.phase is Phase.SUSPENDED:
            self._settle_all(state, _unanswered)

    def answered(self, state: RunState, answer: f.UpdateAnswered) -> None:
        """A run has answered an update."""
        for future in self._waiters.get((state.run_id, answer.update_id), ()):
            if not future.done():
                future.set_result(answer)

    def _settle_all(self, state: RunState, why: Callable[[RunState, str], AGNT5Error]) -> None:
        for run_id, update_id in [key for key in self._waiters if key[0] == state.run_id]:
            known = state.updates.get(update_id)
            if known is not None:
                self.answered(state, known)
            elif update_id in state.updates:
                self._fail((run_id, update_id), why(state, update_id))

    def _fail(self, key: tuple[str, str], reason: AGNT5Error) -> None:
        for future in self._waiters.get(key, ()):
            if not future.done():
                future.set_exception(reason)

    # Asked by clients.

    async def answer(self, run_id: str, answer: object, about: c.SubmitAnswer) -> None:
        """Answer the question that a run waits with; durable when this returns."""
        if isinstance(answer, (list, tuple)):
            answer = ",".join(map(str, answer))
        if isinstance(answer, str):
            if answer in {"__skip__", "__skipped__"}:
                answer = None
            elif answer.startswith("__custom__:"):
                about.is_custom, answer = True, answer.removeprefix("__custom__:")
        if answer is not None and not isinstance(answer, str):
            msg = f"an answer is a text, a list of texts or None, not {answer!r}"
            raise InvalidInputError(msg)
        for name in ("key", "actor", "channel", "reason", "shown"):
            value = getattr(about, name)
            if value is not None and not isinstance(value, str):
                msg = f"the {name} of an answer is a text or None, not {value!r}"
                raise InvalidInputError(msg)
            if value:
                check_name(value, f"the {name} of an answer", None)
        if answer:
            check_name(answer, "an answer", None)
        about.answer, about.traceparent = answer, calling().traceparent
        await self._runs.command(run_id, about)

    async def query(
        self, run_id: str, name: str, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """What the handler of a query says. Nothing is written."""
        check_name(name, "the name of the query")
        where = f"query {name!r} of run {run_id}"
        encoded = self._runs.bus.encode([list(args), kwargs], f"arguments of {where}")

        def ask(_: RunActor, script: Script) -> JsonValue:
            handler = script.handlers.queries.get(name)
            if handler is None:
                known = ", ".join(map(repr, script.handlers.queries)) or "none"
                msg = f"run {run_id!r} has no handler of the query {name!r}; it has: {known}"
                raise QueryError(msg)
            given: list[object] = _as_list(decode(encoded))
            try:
                value = _looking(lambda: handler(*_as_list(given[0]), **_as_dict(given[1])))
                return self._runs.bus.encode(value, f"answer to {where}")
            except Exception as error:
                msg = f"the handler of {where} failed: {type(error).__name__}: {error}"
                raise QueryError(msg) from error

        return decode(await self._visit(run_id, ask, QueryError))

    async def update(
        self,
        run_id: str,
        name: str,
        payload: object,
        update_id: str | None,
        timeout: float | None,
    ) -> object:
        """Have the body do something, and wait for what it says about it."""
        check_name(name, "the name of the update")
        if timeout is not None:
            microseconds(timeout, "the timeout of an update")
        bus = self._runs.bus
        encoded = bus.encode(payload, f"payload of update {name!r}")
        unique = bus.ids.event_id() if update_id is None else update_id
        check_name(unique, "update_id")
        command = c.SendUpdate(unique, name, encoded, calling().traceparent)
        try:
            async with asyncio.timeout(timeout):
                said = await self._said(run_id, command)
        except TimeoutError as error:
            msg = (
                f"update {name!r} of run {run_id} was not answered within {timeout} s; if it was"
                f" accepted it goes on: ask again with update_id={unique!r}"
            )
            raise StepTimeoutError(msg) from error
        if said.error is not None:
            raise decode_error(said.error)
        return decode(said.output, where=f"answer to update {name!r}")

    async def _said(self, run_id: str, command: c.SendUpdate) -> f.UpdateAnswered:
        """The answer; if the run goes on as another one before it has answered, of that one."""
        while True:
            run_id = await self._live(run_id)
            answer: asyncio.Future[f.UpdateAnswered] = asyncio.get_running_loop().create_future()
            waiters = self._waiters.setdefault((run_id, command.update_id), [])
            waiters.append(answer)
            try:
                return await self._answer_to(run_id, command, answer)
            except RunContinuedError as went_on:
                run_id = went_on.successor
            finally:
                answer.cancel()
                waiters.remove(answer)
                if not waiters:
                    self._waiters.pop((run_id, command.update_id), None)

    async def _live(self, run_id: str) -> str:
        actor = self._runs.bus.runs.get(run_id)
        if actor is not None and actor.state.version and not actor.state.is_finished:
            return run_id
        return (await self._runs.live_row(run_id)).run_id

    async def _answer_to(
        self, run_id: str, command: c.SendUpdate, answer: asyncio.Future[f.UpdateAnswered]
    ) -> f.UpdateAnswered:
        loop = asyncio.get_running_loop()

        def send(actor: RunActor, script: Script) -> tuple[asyncio.Future[None], object]:
            known = actor.state.updates.get(command.update_id)
            if command.update_id not in actor.state.updates:
                _check_update(run_id, script, command)
            sent: asyncio.Future[None] = loop.create_future()
            actor.tell(command, lambda error: _reply(sent, error), edge=True)
            return sent, known

        try:
            sent, known = await self._visit(run_id, send, InvalidInputError)
            # An answer that is known may not be on disk yet; when this is answered, it is.
            await sent
        except InvalidInputError:
            recorded = await self._recorded(run_id, command.update_id)
            if recorded is None:
                raise
            return recorded
        return known if isinstance(known, f.UpdateAnswered) else await answer

    async def _recorded(self, run_id: str, update_id: str) -> f.UpdateAnswered | None:
        """What the log says of an update, of a run that takes no new ones."""
        stored = await self._runs.look(self._runs.bus.log.read, run_id)
        state = fold(run_id, decode_history(stored))
        if update_id in state.updates and state.updates[update_id] is None:
            raise _unanswered(state, update_id)
        return state.updates.get(update_id)

    # Visiting a body.

    async def _visit(
        self, run_id: str, look: Callable[[RunActor, Script], T], refusal: Refusal
    ) -> T:
        """Bring a run into memory and look at its body when that is at rest."""
        pause_s = _LOOK_AGAIN_S
        while True:
            actor = await self._summoned(run_id, refusal)
            actor.visitors += 1
            try:
                script = await self._rested(actor, refusal)
                if script is not None:
                    return look(actor, script)
            finally:
                actor.visitors -= 1
                if not actor.visitors:
                    actor.at_rest()
            # It is gone: it leaves, or its queue has no place for it, perhaps for long.
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LATEST_S)

    async def _summoned(self, run_id: str, refusal: Refusal) -> RunActor:
        actor = self._runs.bus.runs.get(run_id)
        if actor is None or actor.stopped is not None:
            row = await self._runs.live_row(run_id)
            if row.finished_at is not None or row.status in {"suspended", "paused", "queued"}:
                raise _not_under_way(run_id, row.status, refusal)
            actor = self._runs.bus.summon(row.run_id)
        return actor

    async def _rested(self, actor: RunActor, refusal: Refusal) -> Script | None:
        """Its body, once that is at rest; None when the actor is gone."""
        while actor.stopped is None:
            bus, state = self._runs.bus, actor.state
            if state.successor is not None:
                return None
            if state.is_finished or state.phase is Phase.SUSPENDED or state.pause is not None:
                raise _not_under_way(state.run_id, status_of(state), refusal)
            script = actor.script
            # Asked before it rests: what was handed over last must have had its consequences.
            if script is not None and script.is_heard:
                rested: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                Rest(script, partial(_reply, rested, None), bus.context).wait()
                await rested
                if script.is_heard and not script.closed:
                    return script
            await asyncio.sleep(_LOOK_AGAIN_S)
        return None


def _looking(handler: Callable[[], object]) -> object:
    """Call what may only look: as nobody's branch, so that a durable call in it raises."""
    context = copy_context()
    context.run(CURRENT.set, None)
    value = context.run(handler)
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        msg = "it gave an awaitable: what only looks has nothing to wait for"
        raise TypeError(msg)
    return value


def _check_update(run_id: str, script: Script, command: c.SendUpdate) -> None:
    handler = script.handlers.updates.get(command.name)
    if handler is None:
        known = ", ".join(map(repr, script.handlers.updates)) or "none"
        msg = f"run {run_id!r} has no handler of the update {command.name!r}; it has: {known}"
        raise InvalidInputError(msg)
    validator = handler.validator
    if validator is None:
        return
    payload = decode(command.payload)
    try:
        accepted = _looking(lambda: validator(payload))
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        msg = f"run {run_id!r} refuses the update {command.name!r}: {why}"
        raise InvalidInputError(msg) from error
    if accepted is False:
        msg = f"run {run_id!r} refuses the update {command.name!r}: its validator says False"
        raise InvalidInputError(msg)


def _not_under_way(run_id: str, status: str, refusal: Refusal) -> AGNT5Error:
    why = {
        "queued": "has not begun yet; try again later",
        "suspended": "is suspended; mend and resume it first",
        "paused": "is paused; resume it first",
    }
    has_ended = f"has ended ({status}); look at its result"
    return refusal(f"run {run_id!r} cannot be asked: it {why.get(status, has_ended)}")


def _unanswered(state: RunState, update_id: str) -> AGNT5Error:
    if state.successor is not None:
        return RunContinuedError(state.run_id, state.successor)
    if state.phase is Phase.SUSPENDED:
        why = "is suspended; the update is kept, and goes on with the run"
    else:
        why = f"has ended ({state.phase.name.lower()}) before the handler had"
    return UpdateError(f"update {update_id!r} was not answered: run {state.run_id!r} {why}")


def _reply(to: asyncio.Future[None], error: BaseException | None) -> None:
    if to.done():
        return
    if error is None:
        to.set_result(None)
    else:
        to.set_exception(error)


def _as_list(value: object) -> list[object]:
    assert isinstance(value, list)  # noqa: S101 - it was encoded from one
    return value


def _as_dict(value: object) -> dict[str, object]:
    assert isinstance(value, dict)  # noqa: S101 - it was encoded from one
    return value
