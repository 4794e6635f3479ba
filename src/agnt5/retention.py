"""Which runs have been kept long enough. Nothing is written here: a log is read, and runs are told.

Runs go with their family: a run that others have started goes when the run goes that began it all.
A child that went before its parent would be started again if the index were built again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from agnt5.events.codec import decode_any
from agnt5.events.index import RunRow
from agnt5.events.log import EventLog, Removal
from agnt5.events.projections import bindings_of
from agnt5.events.run.facts import RunQueued
from agnt5.events.run.state import fold
from agnt5.events.schedule.decider import stream_of
from agnt5.events.schedule.facts import ScheduleFired
from agnt5.events.sealing import shredded_at
from agnt5.events.shredded import decode_shown, show_history
from agnt5.exceptions import AGNT5Error, ConfigurationError
from agnt5.histories import History

EVERY_OTHER: Final = "*"
"""In a mapping of retentions: every component that is not named."""
_PAGE = 200
_BATCH_EVENTS = 500
"""Events that are deleted in one transaction, unless one family has more: a few milliseconds."""

Place = str | os.PathLike[str]
Payloads = Literal["plain"]
IN_CLEAR: Final = (
    "this store is encrypted, and an archive is written in clear: say payloads='plain' if that is"
    " meant"
)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long runs are kept once they have ended, and where they go then.

    Args:
        keep: How long, from the end of the run and of all that it has started.
        archive: A folder: histories are written there, as :meth:`agnt5.Client.export_runs` does,
            and are on disk before anything is deleted. None: they are deleted and gone.
        payloads: Needed for an archive of an encrypted store: ``"plain"`` says that it may be
            written in clear.

    Raises:
        ConfigurationError: When one of them cannot be meant.

    Example:
        >>> Retention(timedelta(days=30), archive="archive").keep.days
        30
    """

    keep: timedelta
    archive: Place | None = None
    payloads: Payloads | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.keep, timedelta) or self.keep < timedelta():
            msg = f"keep is how long runs are kept, such as timedelta(days=30), not {self.keep!r}"
            raise ConfigurationError(msg)
        if self.archive is not None and not isinstance(self.archive, str | os.PathLike):
            raise ConfigurationError(f"archive is a folder, or None, not {self.archive!r}")
        if self.payloads not in {None, "plain"}:
            raise ConfigurationError(f"payloads is 'plain' or None, not {self.payloads!r}")


def checked(
    retention: Mapping[str, Retention] | None, *, is_encrypted: bool
) -> dict[str, Retention]:
    """The retentions of a runtime, by component.

    Raises:
        ConfigurationError: When it is no mapping of names to them, or one of them would write in
            clear what is encrypted.
    """
    if retention is None:
        return {}
    if not isinstance(retention, Mapping):
        msg = f"retention takes a dict such as {{'orders': Retention(...)}}, not {retention!r}"
        raise ConfigurationError(msg)
    for name, each in retention.items():
        if not isinstance(name, str) or not name or not isinstance(each, Retention):
            msg = f"retention takes names with agnt5.Retention objects, not {name!r}: {each!r}"
            raise ConfigurationError(msg)
        if is_encrypted and each.archive is not None and each.payloads is None:
            raise ConfigurationError(f"retention of {name!r}: {IN_CLEAR}")
    return dict(retention)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs are meant; a family is meant if the run that began it is."""

    before: int
    """All of the family have ended before this time, microseconds since the epoch."""
    component: str | None = None
    status: str | None = None
    others_than: frozenset[str] = frozenset()
    """Not of these components."""


@dataclass(slots=True)
class Batch:
    """What goes in one transaction."""

    histories: list[History] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    events: int = 0
    size: int = 0

    def add(self, histories: Sequence[History]) -> None:
        """One more family."""
        for history in histories:
            queued = decode_shown(history.events[0])
            assert isinstance(queued, RunQueued)  # noqa: S101 - see _reason_of
            scopes = [each.scope for each in bindings_of(history.run_id, queued)]
            version = history.events[-1].version
            self.histories.append(history)
            self.removals.append(Removal(history.run_id, version, scopes))
            self.events += len(history.events)
            self.size += sum(len(row.state) for row in history.events)


class Planner:
    """Goes through the runs of a log that have ended, and gives those that may go.

    Attributes:
        kept: Families that must stay, by the reason: ``unfinished``, ``recent``, ``owing``,
            ``in memory``, ``scheduled``, ``key``, ``shredded``, ``damaged``.
    """

    def __init__(
        self,
        log: EventLog,
        wanted: Wanted,
        *,
        is_in_memory: Callable[[str], bool],
        archives: bool = True,
        remembers: bool = False,
    ) -> None:
        self.kept: Counter[str] = Counter()
        self._log = log
        self._wanted = wanted
        self._is_in_memory = is_in_memory
        self._archives = archives
        self._remembers = remembers
        """What was given is not deleted: keep in mind that it would be."""
        self._gone: set[str] = set()

    def batches(self) -> Iterator[Batch]:
        """What may go, in small portions; each is deleted before the next one is asked for."""
        batch = Batch()
        for root in self._roots():
            family = self._family(root)
            histories = self._histories(family)
            if not histories:
                continue
            batch.add(histories)
            self._gone.update(history.run_id for history in histories)
            if batch.events >= _BATCH_EVENTS:
                yield batch
                batch = self._next()
        if batch.removals:
            yield batch

    def _next(self) -> Batch:
        if not self._remembers:
            self._gone.clear()
        return Batch()

    def _roots(self) -> Iterator[RunRow]:
        wanted, after = self._wanted, ""
        while True:
            page = self._log.ended(
                wanted.before,
                component=wanted.component,
                status=wanted.status,
                after=after,
                limit=_PAGE,
            )
            for row in page:
                parent = row.parent_run_id
                is_child = parent is not None and self._log.run_row(parent) is not None
                is_root = not is_child and not self._goes_with_its_first(row)
                if is_root and row.component not in wanted.others_than:
                    yield row
            if len(page) < _PAGE:
                return
            after = page[-1].run_id

    def _goes_with_its_first(self, row: RunRow) -> bool:
        """Whether a chain ends here: its first run has its key. Those between go on their own."""
        is_last = row.chain is not None and row.continued_to is None
        return is_last and self._log.run_row(row.chain or "") is not None

    def _family(self, root: RunRow) -> list[RunRow]:
        found, known = [root], {root.run_id}
        for row in found:  # grows meanwhile
            for relative in (*self._children(row.run_id), *self._last_of(row)):
                if relative.run_id not in known:
                    known.add(relative.run_id)
                    found.append(relative)
        return found

    def _last_of(self, row: RunRow) -> Iterator[RunRow]:
        """The run as which the first of a chain goes on, or has ended."""
        if row.continued_to is not None and row.chain is None:
            last = self._log.last_of_chain(row.run_id)
            if last is not None:
                yield last

    def _children(self, run_id: str) -> Iterator[RunRow]:
        before: str | None = None
        while page := self._log.list_runs(parent_run_id=run_id, limit=_PAGE, before=before):
            yield from page
            before = page[-1].run_id

    def _histories(self, family: Sequence[RunRow]) -> list[History]:
        """The histories of a family, if all of it may go."""
        reason = next(filter(None, map(self._reason, family)), None)
        if reason is not None:
            self.kept[reason] += 1
            return []
        ids = [row.run_id for row in family]
        rows = self._log.read_many(ids)
        histories = [History.of(run_id, rows[run_id]) for run_id in ids]
        reason = self._reason_of(histories)
        if reason is not None:
            self.kept[reason] += 1
            return []
        return histories

    def _reason(self, row: RunRow) -> str | None:
        """Why a run must stay, as far as its row tells."""
        if row.finished_at is None:
            return "unfinished"
        if row.finished_at >= self._wanted.before:
            return "recent"
        if row.owes:
            return "owing"
        return "in memory" if self._is_in_memory(row.run_id) else None

    def _reason_of(self, histories: Sequence[History]) -> str | None:
        """Why a family must stay, as its events tell."""
        going = self._gone | {history.run_id for history in histories}
        for history in histories:
            try:
                facts = show_history(history.events)
                is_over = fold(history.run_id, facts).is_finished
                queued = facts[0][0]
            except (AGNT5Error, LookupError, ValueError, TypeError, AttributeError):
                return "damaged"
            if not is_over or not isinstance(queued, RunQueued):
                return "damaged"
            if self._archives and any(shredded_at(row.state) is not None for row in history.events):
                return "shredded"  # no file takes what nobody can read
            if self._is_last_of_its_schedule(history.run_id, queued):
                return "scheduled"
            for before in (queued.replaces, queued.replaces_duplicate):
                # Else the key would name that one again if the index were built again.
                if before is not None and before not in going and self._log.last(before):
                    return "key"
        return None

    def _is_last_of_its_schedule(self, run_id: str, queued: RunQueued) -> bool:
        """Whether a schedule would start the run again if it were not there."""
        if (queued.origin or {}).get("type") != "cron":
            return False
        last = self._log.last(stream_of(queued.component))
        fact = None if last is None else decode_any(last)
        return isinstance(fact, ScheduleFired) and fact.run_id == run_id
