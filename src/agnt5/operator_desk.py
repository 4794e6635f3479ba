"""The desk for those who operate runs: they stand still, go on, and begin again from their history.

Lives on the runtime's loop. What a fork begins with is decided by :mod:`agnt5.events.run.forking`;
here it is read, checked against the code, and appended in one go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agnt5.actors.ports import Definition
from agnt5.answers import when
from agnt5.events.codec import decode_history, encode_fact
from agnt5.events.index import FINISHED
from agnt5.events.log import Append, Chain
from agnt5.events.projections import changes_of
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.failures import RetryPoint, retry_point
from agnt5.events.run.forking import Fork, ForkWish, Identity, TimedFacts, boundary, fork
from agnt5.exceptions import (
    ConfigurationError,
    InvalidInputError,
    StoreError,
    UnknownComponentError,
    VersionConflictError,
)
from agnt5.fork_previews import ForkPreview, preview_of
from agnt5.names import check_run_id, check_text, check_word
from agnt5.new_run import NewRun
from agnt5.payloads import decode
from agnt5.registry import Component
from agnt5.replay_reports import ReplayReport
from agnt5.replaying import replay_facts
from agnt5.responses import RunStatus, StatusResponse, SubmitResponse
from agnt5.runs import Runs
from agnt5.telemetry.current import calling
from agnt5.types import ComponentKind

_PAGE = 200
_STALL_S = 2.0
_PATIENCE_S = 30.0
_LONGEST_LABEL = 512


@dataclass(frozen=True, slots=True)
class Changes:
    """What somebody wants to be different in a fork."""

    input_data: Mapping[str, Any] | None = None
    version: str | None = None
    identity: Identity | None = None
    run_id: str | None = None
    reason: str | None = None


NO_CHANGES = Changes()


class Operating:
    """Has runs stand still, go on, and begin again."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    # Standing still.

    async def pause(
        self, run_id: str, reason: str | None = None, *, children: bool = False
    ) -> StatusResponse:
        """Have a run stand still; that is durable when this returns."""
        check_word(reason, "the reason of a pause")
        await self._runs.command(run_id, c.PauseRun(reason))
        run_id = (await self._runs.live_row(run_id)).run_id
        if children:
            for child in await self._children(run_id):
                await self._pause_child(child, reason)
        return await self._runs.get_status(run_id)

    async def _pause_child(self, run_id: str, reason: str | None) -> None:
        try:
            await self.pause(run_id, reason, children=True)
        except InvalidInputError:
            if (await self._runs.row(run_id)).status not in FINISHED:
                raise

    async def _children(self, run_id: str) -> list[str]:
        """The child runs that have not ended."""
        found: list[str] = []
        before: str | None = None
        while True:
            rows = await self._runs.look(
                self._runs.bus.log.list_runs, parent_run_id=run_id, limit=_PAGE, before=before
            )
            found += [row.run_id for row in rows if row.finished_at is None]
            if len(rows) < _PAGE:
                return found
            before = rows[-1].run_id

    # Beginning again.

    async def rerun(self, run_id: str, changes: Changes = NO_CHANGES) -> SubmitResponse:
        """Start a run of the same component, with the same input or another."""
        return await self._runs.submit(await self.new_rerun(run_id, changes))

    async def new_rerun(self, run_id: str, changes: Changes = NO_CHANGES) -> NewRun:
        """What :meth:`rerun` would start, checked; nothing is written."""
        check_text(changes.version, "version", _LONGEST_LABEL)
        queued = _queued(await self._history(run_id))
        given = changes.input_data
        if given is None:
            recorded = decode(queued.input, where=f"input of run {run_id}")
            given = recorded if isinstance(recorded, dict) else {}
        component = self._component(queued, changes.version)
        if isinstance(given, Mapping):
            component.check_input(given)
        metadata: Any = decode(queued.metadata or {}, where=f"metadata of run {run_id}")
        return NewRun(
            queued.component,
            given,
            queued.kind,
            changes.run_id,
            session_id=queued.session_id,
            user_id=queued.user_id,
            metadata=metadata,
            queue=queued.queue,
            priority=queued.priority,
            version=changes.version,
            origin={"type": "rerun", "run_id": run_id},
        )

    async def fork(
        self, run_id: str, at: int | None = None, changes: Changes = NO_CHANGES
    ) -> SubmitResponse:
        """Copy the first events of a run into a new one, which goes on from there."""
        return await self._begin(await self.new_fork(run_id, at, changes))

    async def new_fork(
        self, run_id: str, at: int | None = None, changes: Changes = NO_CHANGES
    ) -> Fork:
        """What :meth:`fork` would begin with; nothing is written."""
        history = await self._history(run_id)
        point = RetryPoint(len(history) if at is None else at)
        return await self._fork(run_id, history, point, changes)

    async def preview_fork(
        self, run_id: str, at: int | None = None, changes: Changes = NO_CHANGES
    ) -> ForkPreview:
        """What :meth:`fork` would do; nothing is written."""
        history = await self._history(run_id)
        point = RetryPoint(len(history) if at is None else at)
        return await self._preview(run_id, history, point, changes)

    async def retry(
        self, run_id: str, changes: Changes = NO_CHANGES, *, after_cleanup: bool = False
    ) -> SubmitResponse:
        """Fork a run that has failed, just before its failure."""
        return await self._begin(await self.new_retry(run_id, changes, after_cleanup=after_cleanup))

    async def new_retry(
        self, run_id: str, changes: Changes = NO_CHANGES, *, after_cleanup: bool = False
    ) -> Fork:
        """What :meth:`retry` would begin with; nothing is written."""
        history = await self._history(run_id)
        point = retry_point(run_id, history)
        if point.cleanup and not after_cleanup:
            shown = ", ".join(map(repr, point.cleanup[:5]))
            msg = (
                f"after its failure run {run_id!r} went on to {shown}: if that was cleanup, what it"
                " has undone would count as done in the new run. Start it anew with rerun, fork it"
                " at an event of your choice, or say after_cleanup=True"
            )
            raise InvalidInputError(msg)
        return await self._fork(run_id, history, point, changes)

    async def preview_retry(self, run_id: str, changes: Changes = NO_CHANGES) -> ForkPreview:
        """What :meth:`retry` would do; nothing is written."""
        history = await self._history(run_id)
        return await self._preview(run_id, history, retry_point(run_id, history), changes)

    async def what_if(
        self, run_id: str, workflow: object = None, at: int | None = None
    ) -> ReplayReport:
        """Run code over a recorded history, up to the first thing that is not in it."""
        history = await self._history(run_id)
        queued = _queued(history)
        if workflow is not None:
            definition = _component_of(workflow).definition()
        else:
            known = self._runs.bus.definition_of(queued)
            definition = known or self._component(queued, queued.version_label).definition()
        if at is not None:
            history = history[: boundary(history, at)]
        return await self._replay(run_id, history, definition)

    # How.

    async def _history(self, run_id: str) -> TimedFacts:
        await self._runs.row(run_id)
        stored = await self._runs.look(self._runs.bus.log.read, run_id)
        return await self._runs.look(decode_history, stored)

    def _component(self, queued: f.RunQueued, version: str | None) -> Component:
        components = self._runs.components
        found = components.component(ComponentKind(queued.kind), queued.component, version)
        if found is None:
            label = "" if version is None else f"version {version!r} of a "
            hint = components.hint(queued.kind, queued.component)
            msg = f"no {label}{queued.kind} named {queued.component!r} is registered here. {hint}"
            raise UnknownComponentError(msg)
        return found

    async def _fork(
        self, run_id: str, history: TimedFacts, point: RetryPoint, changes: Changes
    ) -> Fork:
        bus, queued = self._runs.bus, _queued(history)
        check_run_id(changes.run_id)
        check_text(changes.version, "version", _LONGEST_LABEL)
        check_word(changes.reason, "the reason of a fork")
        if changes.identity not in {None, "origin", "own"}:
            raise InvalidInputError(f"identity is 'origin' or 'own', not {changes.identity!r}")
        version = queued.version_label if changes.version is None else changes.version
        given, encoded = changes.input_data, queued.input
        if given is not None:
            component = self._component(queued, version)
            if not isinstance(given, Mapping) or not all(isinstance(k, str) for k in given):
                what = f"the input of {queued.component!r}"
                msg = f"{what} must be an object: a dict with texts as keys; not {given!r:.80}"
                raise InvalidInputError(msg)
            component.check_input(given)
            encoded = bus.encode(dict(given), f"input of {queued.component!r}")
        elif changes.version is not None:
            self._component(queued, version)
        changed = given is not None and encoded != queued.input
        caller = calling()
        wish = ForkWish(
            run_id=changes.run_id or bus.ids.run_id(),
            at=point.at,
            identity=changes.identity or ("own" if changed else "origin"),
            version_label=version,
            input=encoded,
            input_changed=changed,
            left_out=point.left_out,
            fresh=point.fresh,
            reason=changes.reason,
            traceparent=caller.traceparent,
            tracestate=caller.tracestate,
        )
        return await self._runs.look(fork, run_id, history, wish, bus.clock.now())

    async def _begin(self, made: Fork) -> SubmitResponse:
        """Append all of it at once, and let it go on."""
        bus, run_id, queued = self._runs.bus, made.state.run_id, made.state.queued
        assert queued is not None  # noqa: S101 - a stream begins with RunQueued
        over: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()

        def on_settled(settled: Append) -> None:
            if not over.done():
                over.set_result(settled.error)

        append = Append(
            stream=run_id,
            after=0,
            facts=[encode_fact(fact, at, bus.ids.event_id()) for fact, at in made.facts],
            changes=changes_of(made.state, [fact for fact, _ in made.facts]),
            chain=Chain(),
            on_settled=on_settled,
            edge=True,
            volatile=not queued.durable,
            imported=True,
        )
        if run_id in bus.runs or bus.is_in_line(run_id):
            raise _taken(run_id)
        bus.journal.append(append)
        error = await over
        if isinstance(error, VersionConflictError):
            raise _taken(run_id) from error
        if error is not None:
            raise error
        if not bus.closing:
            bus.wake(run_id)
        created, trace_id = when(made.state.created_at), made.state.trace_id
        return SubmitResponse(run_id, 202, RunStatus.QUEUED, trace_id, queued.component, created)

    async def _preview(
        self, run_id: str, history: TimedFacts, point: RetryPoint, changes: Changes
    ) -> ForkPreview:
        made = await self._fork(run_id, history, point, changes)
        queued = made.state.queued
        assert queued is not None  # noqa: S101 - a stream begins with RunQueued
        replayed = None
        definition = self._runs.bus.definition_of(queued)
        if definition is not None and made.state.started_at is not None:
            replayed = await self._replay(made.state.run_id, made.facts, definition)
        return preview_of(
            run_id, history, made, asked_at=point.at, cleanup=point.cleanup, replayed=replayed
        )

    async def _replay(
        self, run_id: str, history: TimedFacts, definition: Definition
    ) -> ReplayReport:
        return await replay_facts(
            run_id,
            history,
            definition,
            context=self._runs.bus.context.copy(),
            stall_limit_s=_STALL_S,
            patience_s=_PATIENCE_S,
        )


def _queued(history: TimedFacts) -> f.RunQueued:
    queued = history[0][0]
    assert isinstance(queued, f.RunQueued)  # noqa: S101 - a stream begins with RunQueued
    return queued


def _component_of(workflow: object) -> Component:
    found = getattr(workflow, "agnt5_component", workflow)
    if not isinstance(found, Component):
        msg = (
            f"{workflow!r} is no workflow: give what @workflow or @function has made, or a class"
            " that derives from agnt5.Workflow"
        )
        raise ConfigurationError(msg)
    return found


def _taken(run_id: str) -> InvalidInputError:
    return InvalidInputError(f"a run with the id {run_id!r} is already in this store")
