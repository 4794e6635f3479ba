"""Why a run is where it is: what it waits for, since when, and what would wake it. Pure."""

from __future__ import annotations

from datetime import datetime

from agnt5.answers import when
from agnt5.events.projections import status_of
from agnt5.events.run import facts as f
from agnt5.events.run.annals import Annals
from agnt5.events.run.state import Phase
from agnt5.owners import owner_text
from agnt5.reasons import Circumstances, Wait, wait_for, while_executed
from agnt5.snapshot_parts import View, error_text, short, suspension_of


class Explanation(View):
    """Why a run is where it is. ``str()`` says it in sentences.

    Attributes:
        run_id: The run.
        component: Its function or workflow.
        kind: ``"function"`` or ``"workflow"``.
    """

    run_id: str
    component: str
    kind: str
    status: str
    """As of :class:`agnt5.RunStatus`."""
    since: datetime
    """When it was queued, began, was suspended or paused, or ended."""
    at: datetime
    """When one asked."""
    headline: str
    """One sentence."""
    waits: tuple[Wait, ...]
    """Everything that it waits for; empty once it has ended. A run that waits for several things
    goes on with each of them."""
    notes: tuple[str, ...] = ()
    """What else matters: that it was asked to stop, which updates are being handled; for who looks
    at a store from outside, who has it open."""
    report: str | None = None
    """Of a suspended run: what happened, and the ways out."""

    def __str__(self) -> str:
        """The headline, then a line for each wait and note, then the report."""
        lines = [self.headline]
        lines += [f"  - {wait}" for wait in self.waits]
        lines += [f"  {note}" for note in self.notes]
        if self.report is not None:
            lines += [f"  {line}" for line in self.report.splitlines()]
        return "\n".join(lines)


def explain(annals: Annals, around: Circumstances) -> Explanation:
    """Why the run is where its annals end. They begin with RunQueued."""
    state, queued = annals.state, annals.state.queued
    assert queued is not None  # noqa: S101 - a stream begins with RunQueued
    waits = _waits(annals, queued, around)
    suspension = suspension_of(annals)
    return Explanation(
        run_id=state.run_id,
        component=queued.component,
        kind=queued.kind,
        status=status_of(state),
        since=when(annals.phase_at if state.pause is None else annals.paused_at or 0),
        at=when(around.now),
        headline=_headline(annals, queued, waits),
        waits=waits,
        notes=() if state.is_finished else (*_notes(annals), *_owner_note(annals, around)),
        report=suspension.report if suspension else None,
    )


def _headline(annals: Annals, queued: f.RunQueued, waits: tuple[Wait, ...]) -> str:
    state, at = annals.state, _time(annals.phase_at)
    run = f"run {state.run_id} ({queued.kind} {queued.component!r})"
    if state.pause is not None and annals.paused_at is not None:
        why = state.pause.reason or "no reason was given"
        return f"{run} is paused since {_time(annals.paused_at)}: {why}. It waits for:"
    match state.phase:
        case Phase.COMPLETED:
            return f"{run} completed at {at} with {short(state.output)}."
        case Phase.FAILED:
            why = error_text(state.failure.error) if state.failure else "no reason is on record"
            return f"{run} failed at {at}: {why}."
        case Phase.CANCELLED:
            return f"{run} was cancelled at {at}: {state.cancel_reason or 'no reason was given'}."
        case Phase.CONTINUED:
            return f"{run} went on as run {state.successor} at {at}."
        case Phase.SUSPENDED:
            return f"{run} is suspended since {at}. It waits for somebody to mend something:"
        case Phase.QUEUED:
            return f"{run} was accepted at {at} and has not begun. It waits for:"
        case _:
            several = f"{len(waits)} things" if len(waits) > 1 else "one thing"
            return f"{run} is {status_of(state).replace('_', ' ')}. It waits for {several}:"


def _time(at: int) -> str:
    return f"{when(at):%Y-%m-%d %H:%M:%S} UTC"


def _waits(annals: Annals, queued: f.RunQueued, around: Circumstances) -> tuple[Wait, ...]:
    state = annals.state
    if state.pause is not None and annals.paused_at is not None:
        return (_resumption(state.run_id, annals.paused_at),)
    match state.phase:
        case Phase.QUEUED:
            return (_turn(annals, queued, around),)
        case Phase.RUNNING:
            waits = [wait_for(op, annals, around) for op in state.open.values()]
            if around.place is not None:
                waits.append(_turn(annals, queued, around))
            return tuple(waits) or (_code(annals, around),)
        case Phase.SUSPENDED if state.suspension is not None:
            return (_mend(annals, queued, state.suspension),)
        case _:
            return ()


def _resumption(run_id: str, paused_at: int) -> Wait:
    return Wait(
        kind="resume",
        what="somebody who lets it go on",
        since=when(paused_at),
        wakes=f"client.resume({run_id!r}) does; client.cancel({run_id!r}) ends it",
    )


def _turn(annals: Annals, queued: f.RunQueued, around: Circumstances) -> Wait:
    # What waits to go on has last been heard of when it left memory, or was woken.
    began = annals.state.phase is Phase.RUNNING
    since = when(annals.state.updated_at if began else annals.phase_at)
    line = "the line of all runs" if queued.queue is None else f"queue {queued.queue!r}"
    if around.place is None:
        wakes = "it is about to begin"
        if not around.executes:
            wakes = f"it begins {while_executed(around)}"
        return Wait(kind="queue", what="its turn", since=since, wakes=wakes)
    number, of = around.place
    return Wait(
        kind="queue",
        what=f"its turn in {line}, where it is number {number} of {of}",
        since=since,
        wakes="it begins when those before it have, and the limits allow one more",
    )


def _code(annals: Annals, around: Circumstances) -> Wait:
    return Wait(
        kind="code",
        what="its own code, which is between two durable calls",
        since=when(annals.state.updated_at),
        wakes="it goes on by itself" if around.executes else f"it goes on {while_executed(around)}",
    )


def _mend(annals: Annals, queued: f.RunQueued, found: f.RunSuspended) -> Wait:
    run_id, name = annals.state.run_id, f"{queued.kind} {queued.component!r}"
    again = "import it and start the program again"
    match found.reason:
        case "unknown_component":
            what, wakes = f"a program that has the {name}", again
        case "version":
            what, wakes = (
                f"a program that serves version {queued.version_label!r} of the {name}",
                again,
            )
        case "nondeterminism":
            what = "code that asks for what its log holds"
            wakes = "mend it and start the program again"
        case "limit":
            what, wakes = "a larger limit, as its report says", "open the runtime with one"
        case "input":
            what = f"a {name} that takes the recorded input"
            wakes = "mend it and start the program again"
        case "imported":
            what = "somebody who says that it shall go on in this store"
            wakes = "make sure that the place it came from does not execute it any more"
        case _:
            what = f"an engine that can go on with it ({found.reason})"
            wakes = "keep the store and report it, then try again with a newer agnt5"
    ways = f"; or client.resume({run_id!r}) tries again, client.cancel({run_id!r}) ends it"
    return Wait(kind="mend", what=what, since=when(annals.phase_at), wakes=wakes + ways)


def _notes(annals: Annals) -> list[str]:
    state, notes = annals.state, list[str]()
    if state.forked is not None and annals.forked_at is not None:
        origin, at = state.forked.origin, state.forked.at
        notes.append(
            f"It was forked from run {origin!r} at event {at}, on {_time(annals.forked_at)}."
        )
    if state.cancel_requested:
        since = f" since {_time(annals.cancel_at)}" if annals.cancel_at else ""
        reason = state.cancel_reason or "no reason was given"
        notes.append(f"It is asked to stop{since} ({reason}); its code may still clean up.")
    for update_id, update in annals.updates.items():
        if update.answer is None:
            notes.append(f"It handles the update {update.asked.name!r} ({update_id!r}).")
    return notes


def _owner_note(annals: Annals, around: Circumstances) -> list[str]:
    """Who has the store: of a run that only goes on while somebody has."""
    if around.executes or around.owner is None or around.owner.is_open is None:
        return []
    if annals.state.pause is not None or annals.state.phase is Phase.SUSPENDED:
        return []
    note = f"The store: {owner_text(around.owner)}."
    if around.is_left_alone:
        note += " Nothing of the run is lost: start the program that executes it."
    return [note]
