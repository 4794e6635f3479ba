"""Histories out of a store and into one: what to export, and what an import would write.

Nothing here waits or opens anything: it reads a log that is open, and makes the appends that
whoever owns the log hands over. An import decides everything before the first append.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from agnt5.events.codec import decode_history, encode_fact
from agnt5.events.index import IndexChange, KeyBinding, RunRow
from agnt5.events.log import Append, Chain, EventLog, RawFact, StoredFact
from agnt5.events.projections import Known, changes_of, owes_word, settled_row_of
from agnt5.events.run.facts import RunFact, RunSuspended
from agnt5.events.run.life import IMPORTED
from agnt5.events.run.state import RunState, evolve, fold
from agnt5.exceptions import InvalidInputError, RunNotFoundError
from agnt5.histories import History
from agnt5.run_lists import EVERY_RUN, RunFilter, rows_of

Unfinished = Literal["suspend", "start"]
Payloads = Literal["plain", "sealed"]
_GROUP = 50


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs to export: those with these ids, or those that a list with these filters has."""

    run_ids: Sequence[str] | None = None
    wanted: RunFilter = EVERY_RUN
    payloads: Payloads | None = None
    """Of an encrypted store: in clear, or as they lie there. Without a word it exports nothing."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import has done.

    Attributes:
        runs: How many runs were written.
        events: How many events, without those that say that an unfinished run was imported.
        skipped: Runs that the store held already with the same events, in the order of the file.
        suspended: Unfinished runs that wait until :meth:`agnt5.Client.resume` lets them go on.
    """

    runs: int
    events: int
    skipped: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()


@dataclass(slots=True)
class ImportPlan:
    """What is to be appended, decided against a log as it is now."""

    appends: list[Append] = field(default_factory=list)
    to_start: list[str] = field(default_factory=list)
    """Unfinished runs that shall go on by themselves."""
    events: int = 0
    skipped: list[str] = field(default_factory=list)
    suspended: list[str] = field(default_factory=list)

    def result(self) -> Imported:
        """What has been done, once all of it is durable."""
        skipped, suspended = tuple(self.skipped), tuple(self.suspended)
        return Imported(len(self.appends), self.events, skipped, suspended)


def select_histories(log: EventLog, selection: Selection) -> Iterator[History]:
    """The histories that are meant, in the order of their ids, read in small groups.

    Those that were shredded come as what is left of them.

    Raises:
        RunNotFoundError: When one of the ids is no run of this store.
        InvalidInputError: When the store is encrypted, and nothing was said of payloads.
    """
    log = _as_meant(log, selection.payloads)
    run_ids = _selected(log, selection)
    for start in range(0, len(run_ids), _GROUP):
        group = run_ids[start : start + _GROUP]
        rows = log.read_many(group)
        for run_id in group:
            yield history_of(run_id, rows[run_id])


def is_encrypted(log: EventLog) -> bool:
    """Whether what is read of it was decrypted."""
    return _encrypting(log) is not None


def _encrypting(log: object) -> object | None:
    layer: object | None = log
    while layer is not None and not hasattr(layer, "key_name_of"):
        layer = getattr(layer, "inner", None)
    return layer


def _as_meant(log: EventLog, payloads: Payloads | None) -> EventLog:
    layer = _encrypting(log)
    if layer is None:
        return log
    if payloads is None:
        msg = (
            "this store is encrypted: say payloads='plain' to write the payloads in clear, or"
            " payloads='sealed' to write them as they lie in the store"
        )
        raise InvalidInputError(msg)
    return log if payloads == "plain" else cast("EventLog", getattr(layer, "inner", log))


def history_of(run_id: str, rows: Sequence[StoredFact]) -> History:
    """The history of one run, from what was read of its stream.

    Raises:
        RunNotFoundError: When that is nothing.
    """
    if not rows:
        raise RunNotFoundError(f"there is no run {run_id!r} in this store")
    return History.of(run_id, rows)


def _selected(log: EventLog, selection: Selection) -> list[str]:
    if selection.run_ids is not None:
        return list(dict.fromkeys(selection.run_ids))
    return sorted(row.run_id for row in rows_of(log, selection.wanted))


def plan_import(
    log: EventLog,
    histories: Iterable[History],
    unfinished: Unfinished,
    *,
    now: int,
    event_id: Callable[[], str],
    on_settled: Callable[[Append], None],
) -> ImportPlan:
    """Decide what an import appends. Nothing is written.

    Args:
        log: The log, to see what is there.
        histories: What to import.
        unfinished: ``"suspend"``: an unfinished run gets one more event, so that it waits;
            ``"start"``: it goes on as if it had never been anywhere else.
        now: The time, microseconds since the epoch.
        event_id: Makes the ids of the events that are added.
        on_settled: Called with each append, as for :class:`agnt5.events.log.Append`.

    Raises:
        InvalidInputError: When a run is there with other events, or an idempotency key is taken.
    """
    if unfinished not in {"suspend", "start"}:
        raise InvalidInputError(f"unfinished is 'suspend' or 'start', not {unfinished!r}")
    plan, taken = ImportPlan(), _Keys(log)
    states = [(history, history.state()) for history in histories]
    known = _known(log, {state.run_id: state for _, state in states})
    for history, state in sorted(states, key=lambda each: (each[1].created_at, each[0].run_id)):
        if _is_there(log, history):
            plan.skipped.append(history.run_id)
            continue
        facts = [fact for fact, _ in history.facts]
        raw = [
            RawFact(row.topic, row.state, row.at, row.event_id, row.step) for row in history.events
        ]
        plan.events += len(raw)
        if not state.is_finished:
            added = _suspended(state, unfinished)
            if added is not None:
                raw.append(encode_fact(added, now, event_id()))
                facts.append(added)
                evolve(state, added, now)
            (plan.to_start if unfinished == "start" else plan.suspended).append(history.run_id)
        changes = [taken.take(change) for change in _changes(state, facts, known)]
        append = Append(history.run_id, 0, raw, changes, Chain(), on_settled, edge=True)
        append.imported = True
        plan.appends.append(append)
    return plan


def _known(log: EventLog, imported: dict[str, RunState]) -> Known:
    """Looks up runs: those that are imported, else those that are there."""

    def known(run_id: str) -> RunState | None:
        rows = () if run_id in imported else log.read(run_id)
        return fold(run_id, decode_history(rows)) if rows else imported.get(run_id)

    return known


def _suspended(state: RunState, unfinished: Unfinished) -> RunFact | None:
    known = state.suspension
    if unfinished == "start" or (known is not None and known.reason == IMPORTED):
        return None
    report = (
        f"run {state.run_id} was imported before it had ended, and does not go on by itself: the"
        " place that it came from may still execute it. Resume it to let it go on here."
    )
    return RunSuspended(reason=IMPORTED, report=report, definition="")


def _changes(state: RunState, facts: list[RunFact], known: Known) -> list[IndexChange]:
    changes = changes_of(state, facts)
    if not state.is_finished or owes_word(state, known):
        return changes
    # What it owed to runs that are not here was told where it ended.
    return [settled_row_of(state) if isinstance(each, RunRow) else each for each in changes]


def _is_there(log: EventLog, history: History) -> bool:
    known = log.read(history.run_id)
    if not known:
        return False
    there = History.of(history.run_id, known).events
    # An earlier import may have suspended it, and it may have gone on since.
    if there[: len(history.events)] == history.events:
        return True
    msg = f"run {history.run_id!r} is in this store already, with other events"
    raise InvalidInputError(f"{msg}; nothing was imported. Import into an empty store instead.")


class _Keys:
    """The idempotency keys of a store, and of the runs that are being imported."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._mine: dict[str, str] = {}

    def take(self, change: IndexChange) -> IndexChange:
        """The same change, such that the store will not refuse it."""
        if not isinstance(change, KeyBinding):
            return change
        mine = self._mine.get(change.scope)
        self._mine[change.scope] = change.run_id
        if mine is not None:
            # The run between the two may be none of those that are imported.
            return replace(change, replaces=mine)
        known = self._log.key_binding(change.scope)
        if known is not None and known.run_id != change.replaces:
            msg = (
                f"run {change.run_id!r} has the key {change.scope!r}, which names run"
                f" {known.run_id!r} in this store; nothing was imported. Leave the run out, or"
                " import into an empty store."
            )
            raise InvalidInputError(msg)
        return change
