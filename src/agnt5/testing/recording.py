"""Runs a workflow in memory, on a clock that jumps, and gives its history.

Where nothing moves any more, somebody outside does something: a signal that the run waits for is
sent, a question is answered. Where nobody has anything to say, time goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from agnt5.actors.clock import ManualClock
from agnt5.client import AsyncClient
from agnt5.events.run.state import OpKind, RunState
from agnt5.histories import History
from agnt5.registry import Component, RegisteredComponents
from agnt5.runtime import Runtime

RUN_ID = "generated"
_QUIET_TURNS = 30
_FOR_EVER_S = 1e10
"""Nothing is parked: it would only be read again."""


class _With(RegisteredComponents):
    """What is registered, and one component that need not be."""

    def __init__(self, component: Component) -> None:
        self._component = component
        self._definition = component.definition()

    def component(self, kind: str, name: str, version: str | None = None) -> Component | None:
        """The component for a new run, or None."""
        mine = (kind, name) == (self._definition.kind, self._definition.name)
        return self._component if mine else super().component(kind, name, version)

    def definition(self, kind: str, name: str, version: str | None = None) -> Any:
        """The component as the cast sees it, or None."""
        mine = (kind, name) == (self._definition.kind, self._definition.name)
        return self._definition if mine else super().definition(kind, name, version)


async def record_async(
    component: Component,
    given: Mapping[str, Any],
    *,
    signals: Mapping[str, object] | None = None,
    answers: Mapping[str, object] | None = None,
    patience: float = 10.0,
) -> History:
    """Run a component in memory until it has ended, or nothing that is known can move it.

    Args:
        component: The workflow.
        given: Its input.
        signals: By name, what a signal brings that the run waits for; a list brings several, one
            after the other.
        answers: By the text of a question, what a person answers.
        patience: Seconds of real time for a body, or a step, that waits for something real.

    Raises:
        InvalidInputError: When the input does not fit.
        TimeoutError: When the patience is over.
    """
    clock = ManualClock()
    runtime = Runtime("memory://", clock=clock, park_after=_FOR_EVER_S, grace=0)
    runtime.runs.components = _With(component)
    definition = component.definition()
    async with runtime, asyncio.timeout(patience):
        client = AsyncClient(runtime=runtime)
        await client.submit(definition.name, given, definition.kind, run_id=RUN_ID)
        outside = _Outside(client, signals or {}, answers or {})
        while not await _is_over(runtime, RUN_ID):
            if not (await outside.speak(_state(runtime, RUN_ID)) or _jump(clock)):
                break
        # What nobody waits for lingers a little before it is written.
        await runtime.runs.bus.journal.drain(patience)
        return await client.history(RUN_ID)


def _state(runtime: Runtime, run_id: str) -> RunState | None:
    actor = runtime.runs.bus.runs.get(run_id)
    return None if actor is None else actor.state


def _jump(clock: ManualClock) -> bool:
    due_at = clock.next_due()
    if due_at is None or due_at - clock.now() > _FOR_EVER_S * 1e5:
        return False
    return clock.jump()


async def _is_over(runtime: Runtime, run_id: str) -> bool:
    """Wait until nothing moves, and say whether the run has left memory: ended, or suspended."""
    bus, quiet, last = runtime.runs.bus, 0, -1
    while quiet < _QUIET_TURNS:
        if run_id not in bus.runs:
            return True
        scripts = [actor.script for actor in bus.runs.values() if actor.script is not None]
        moves = sum(each.moves for each in scripts)
        moves += sum(actor.state.version for actor in bus.runs.values())
        busy = bus.has_attempts or not all(each.only_waits for each in scripts)
        quiet = 0 if moves != last else quiet + 1
        if busy and quiet == _QUIET_TURNS - 1:
            # A thread, a file, a real sleep: it will come.
            quiet -= 1
            await asyncio.sleep(0.001)
        last = moves
        await asyncio.sleep(0)
    return False


class _Outside:
    """Who sends signals and answers questions."""

    def __init__(
        self, client: AsyncClient, signals: Mapping[str, object], answers: Mapping[str, object]
    ) -> None:
        self._client = client
        self._signals = {
            name: list(each) if isinstance(each, list) else [each] for name, each in signals.items()
        }
        self._answers = answers

    async def speak(self, state: RunState | None) -> bool:
        """Say one thing that the run waits for; whether there was one."""
        for op in list(state.open.values()) if state is not None else ():
            run_id = state.run_id if state is not None else ""
            if op.kind is OpKind.SIGNAL and self._signals.get(op.name):
                await self._client.signal(run_id, op.name, self._signals[op.name].pop(0))
                return True
            if op.question is not None and op.question.question in self._answers:
                answer = self._answers[op.question.question]
                await self._client.submit_user_response(run_id, answer, key=op.key)
                return True
        return False
