"""Runs that belong together: children are started, reported to their parents, asked to stop.

Nothing in here is the truth. What a parent wants stands in its own log, how a child ended in the
child's; both are asked again when a run comes back into memory, and a run that has ended keeps
``owes`` in its index row until those who must know have recorded it. So whatever a crash cuts
short is done again, and everything may be done twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container
from typing import Protocol, assert_never

from agnt5.actors.journal import Journal
from agnt5.actors.mailbox import Reply
from agnt5.actors.ports import Definition
from agnt5.actors.reader import History, Reader
from agnt5.actors.tracing import is_sampled
from agnt5.events.log import Append, Chain
from agnt5.events.projections import settled_row_of
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.children import left_alone, owes, report_of, unwanted
from agnt5.events.run.state import Phase, RunState, fold
from agnt5.events.run.succession import RunContinuedError
from agnt5.events.traces import child_traceparent
from agnt5.exceptions import (
    AGNT5Error,
    InvalidInputError,
    RunNotFoundError,
    StoreError,
)
from agnt5.payloads import encode_error

logger = logging.getLogger("agnt5.runtime")

_AGAIN_S = 0.5
"""A store in trouble is not asked all the time whether it takes a new run now."""

Done = Callable[[bool], None]
"""Told whether whoever had to know it has it on record."""

_Place = tuple[str, str]
"""The call of a parent that a child answers: the parent's id, and the key. Not the child's id, as
two calls may want the same one; it is the first one's then."""


class Relations(Protocol):
    """What a family needs of the bus."""

    closing: bool
    journal: Journal

    @property
    def runs(self) -> Container[str]:
        """Ids of the runs that have an actor."""
        ...

    def definition(self, kind: str, name: str) -> Definition | None:
        """The component, if this process has it."""
        ...

    def send(self, run_id: str, command: c.RunCommand, reply: Reply | None = None) -> None:
        """To the actor of a run."""
        ...

    def start(self, run_id: str, command: c.QueueRun, reply: Reply) -> None:
        """Accept a new run."""
        ...

    def may_rest(self, run_id: str) -> None:
        """What kept a run in memory is over."""
        ...


class Family:
    """Carries between the runs of one process what they owe one another."""

    def __init__(self, bus: Relations, reader: Reader) -> None:
        self._bus = bus
        self._reader = reader
        self._starting: dict[_Place, list[Done]] = {}
        """Children that are being started, and who wants them stopped once they are there."""
        self._expected: dict[_Place, list[Done]] = {}
        """Who must know that a child is there."""
        self._errands: dict[str, int] = {}
        """How many children of a run are being started or cancelled now."""
        self._orphans: set[_Place] = set()
        """Children that were asked to stop because their parents have ended."""

    def has_errands(self, run_id: str) -> bool:
        """Whether children of a run are being started or cancelled.

        It must not be parked meanwhile: nobody reads a parked run at the next start, so that a
        crash would leave its children neither started nor cancelled.
        """
        return run_id in self._errands

    def perform(self, state: RunState, effect: e.FamilyEffect) -> None:
        """What a run owes its relatives."""
        match effect:
            case e.StartChild():
                self.start(state, effect.child)
            case e.CancelChild():
                self.cancel(state.run_id, effect.child)
            case e.HandOver():
                self.hand_over(state)
            case _:
                assert_never(effect)

    # A parent's wishes.

    def start(self, parent: RunState, child: f.ChildStarted, there: Done | None = None) -> None:
        """See to it that a child is there; if it has ended already, its end is reported."""
        place = (parent.run_id, child.key)
        if there is not None:
            self._expected.setdefault(place, []).append(there)
        if place not in self._starting:
            self._starting[place] = []
            self._set_out(parent.run_id)
            self._look(parent, child)

    def cancel(self, parent_run_id: str, child: f.ChildStarted, done: Done | None = None) -> None:
        """Ask a child to stop: nobody waits for it any more."""
        place = (parent_run_id, child.key)
        waiting = self._starting.get(place)
        if waiting is not None:
            waiting.append(done or _nobody)
            return
        self._set_out(parent_run_id)

        def over(known: bool) -> None:
            self._came_back(parent_run_id)
            if done is not None:
                done(known)

        def tell(report: c.ReportChild) -> None:
            self._orphans.discard(place)
            self._report(parent_run_id, report, done=over)

        def on_ends(live: str, ends: History | AGNT5Error) -> None:
            said = _said_by(ends if isinstance(ends, list) else [], child, place)
            if said is not None:
                tell(said)
                return
            why = f"its parent run {parent_run_id} does not need it any more"
            self._bus.send(live, c.RequestCancel(why), asked)

        def asked(error: BaseException | None) -> None:
            if isinstance(error, RunContinuedError):
                # It went on in this very moment: look again for who it is now.
                self._reader.read_ends(child.child_run_id, on_ends)
            elif isinstance(error, RunNotFoundError):
                tell(_given_up(child))
            else:
                over(error is None)

        self._reader.read_ends(child.child_run_id, on_ends)

    # A run has ended.

    def hand_over(self, state: RunState) -> None:
        """Tell its parent of the end of a run, and its children: to stop, or to go on alone."""
        queued, terminal = state.queued, _terminal_of(state)
        if queued is None or terminal is None:
            return
        left, alone = unwanted(state), left_alone(state)
        place = (queued.parent_run_id or "", queued.parent_key or "")
        # Of a run that went on as another one, the parent hears when that one ends.
        is_last = state.successor is None
        to_parent = queued.parent_run_id if is_last and place not in self._orphans else None
        if is_last:
            self._orphans.discard(place)
        open_ends = len(left) + len(alone) + (to_parent is not None)
        all_known = True

        def done(known: bool) -> None:
            nonlocal open_ends, all_known
            open_ends -= 1
            all_known = all_known and known
            if open_ends <= 0 and all_known:
                self._settle(state)

        if to_parent is not None:
            report = report_of(terminal, queued.parent_key or "", state.run_id)
            self._report(to_parent, report, done=done)
        for child in left:
            self._orphans.add((state.run_id, child.key))
            self.cancel(state.run_id, child, done)
        for child in alone:
            self.start(state, child, done)
        if not open_ends:
            self._settle(state)

    def take_up(self, run_id: str) -> None:
        """At the start: a run that has ended may not have handed that over."""
        self._set_out(run_id)

        def on_read(_: str, history: History | AGNT5Error) -> None:
            if isinstance(history, AGNT5Error):
                logger.error("run %s cannot be read; its family was not told: %s", run_id, history)
            elif not self._bus.closing:
                state = fold(run_id, history)
                if owes(state):
                    self.hand_over(state)
            self._came_back(run_id)

        self._reader.read(run_id, on_read)

    # How.

    def _look(self, parent: RunState, child: f.ChildStarted) -> None:
        def on_ends(_: str, ends: History | AGNT5Error) -> None:
            if self._bus.closing:
                return
            if isinstance(ends, AGNT5Error):
                self._again(parent, child, ends)
            elif ends:
                self._found(parent, child, ends)
            elif self._starting[parent.run_id, child.key]:
                self._started(parent, child)
            elif child.child_run_id in self._bus.runs:
                # Somebody asks for it, and will hear in a moment that it is not there.
                self._again(parent, child, None)
            else:
                self._begin(parent, child)

        self._reader.read_ends(child.child_run_id, on_ends)

    def _begin(self, parent: RunState, child: f.ChildStarted) -> None:
        queued = parent.queued
        definition = self._bus.definition(child.kind, child.component)
        command = c.QueueRun(
            component=child.component,
            kind=child.kind,
            input=child.input,
            session_id=queued.session_id if queued else None,
            user_id=queued.user_id if queued else None,
            metadata=queued.metadata if queued else None,
            parent_run_id=parent.run_id,
            parent_key=child.key,
            version_label=definition.version_label if definition else None,
            queue=definition.queue if definition else None,
            durable=definition.durable if definition else True,
            traceparent=child_traceparent(
                parent.run_id,
                queued.traceparent if queued else None,
                child.key,
                sampled=is_sampled(parent.run_id, queued),
            ),
            tracestate=queued.tracestate if queued else None,
        )

        def accepted(error: BaseException | None) -> None:
            if error is None:
                self._started(parent, child)
            elif isinstance(error, StoreError) and error.code != "STALE_AUTHORITY":
                # A full disk, or somebody else has taken the id in this very moment.
                self._again(parent, child, error)
            else:
                self._started(parent, child)

        self._bus.start(child.child_run_id, command, accepted)

    def _found(self, parent: RunState, child: f.ChildStarted, ends: History) -> None:
        first, last = ends[0][0], ends[-1][0]
        if not _answers(first, (parent.run_id, child.key)):
            waiting = self._forget(parent, child)

            def recorded(known: bool) -> None:
                for done in waiting:
                    done(known)

            self._report(parent.run_id, _taken(child), done=recorded)
            return
        if isinstance(last, f.Terminal):
            report = report_of(last, child.key, child.child_run_id)
            self._report(parent.run_id, report, done=_nobody)
        # Otherwise it is attached by its own record of its parent: it will report itself.
        self._started(parent, child)

    def _started(self, parent: RunState, child: f.ChildStarted) -> None:
        for done in self._forget(parent, child):
            self.cancel(parent.run_id, child, done)

    def _forget(self, parent: RunState, child: f.ChildStarted) -> list[Done]:
        place = (parent.run_id, child.key)
        self._came_back(parent.run_id)
        for there in self._expected.pop(place, ()):
            there(True)
        return self._starting.pop(place, [])

    def _set_out(self, run_id: str) -> None:
        self._errands[run_id] = self._errands.get(run_id, 0) + 1

    def _came_back(self, run_id: str) -> None:
        left = self._errands.pop(run_id, 1) - 1
        if left:
            self._errands[run_id] = left
        else:
            self._bus.may_rest(run_id)

    def _again(self, parent: RunState, child: f.ChildStarted, error: BaseException | None) -> None:
        if error is not None:
            logger.warning("child run %s cannot begin yet: %s", child.child_run_id, error)
        delay = 0.001 if error is None else _AGAIN_S
        asyncio.get_running_loop().call_later(delay, self._look, parent, child)

    def _report(self, parent_run_id: str, report: c.ReportChild, *, done: Done) -> None:
        def recorded(error: BaseException | None) -> None:
            # A parent that is not there, or has ended, has no use for it.
            done(error is None or isinstance(error, RunNotFoundError))

        self._bus.send(parent_run_id, report, recorded)

    def _settle(self, state: RunState) -> None:
        if self._bus.closing:
            return
        self._bus.journal.append(
            Append(
                stream=state.run_id,
                after=state.version,
                facts=(),
                changes=(settled_row_of(state),),
                chain=Chain(),
                on_settled=_nobody_waits,
                urgent=False,
            )
        )


def _terminal_of(state: RunState) -> f.Terminal | None:
    match state.phase:
        case Phase.COMPLETED:
            return f.RunCompleted(output=state.output)
        case Phase.CANCELLED:
            return f.RunCancelled(reason=state.cancel_reason)
        case Phase.CONTINUED:
            return f.RunContinued(successor=state.successor or "", input=None)
        case _:
            return state.failure


def _answers(first: f.RunFact, place: _Place) -> bool:
    """Whether a run that begins so is the child of this call, and not another run with its id."""
    return isinstance(first, f.RunQueued) and (first.parent_run_id, first.parent_key) == place


def _said_by(ends: History, child: f.ChildStarted, place: _Place) -> c.ReportChild | None:
    """What there is to report of a child that begins and ends so; None: it goes on."""
    if not ends:
        return None
    if not _answers(ends[0][0], place):
        return _taken(child)
    last = ends[-1][0]
    if isinstance(last, f.Terminal):
        return report_of(last, child.key, child.child_run_id)
    return None


def _given_up(child: f.ChildStarted) -> c.ReportChild:
    cancelled = f.RunCancelled(reason="it had not begun")
    return report_of(cancelled, child.key, child.child_run_id)


def _taken(child: f.ChildStarted) -> c.ReportChild:
    taken = InvalidInputError(
        f"the run id {child.child_run_id!r}, given to the child {child.key!r}, is taken by"
        " another run in this store; choose another run_id, or give none"
    )
    return c.ReportChild(child.key, "failed", None, encode_error(taken))


def _nobody(known: bool) -> None:
    """Nobody waits to hear that."""
    del known


def _nobody_waits(append: Append) -> None:
    """If it failed, the hand-over is repeated at the next start, which changes nothing."""
    del append
