"""What is looked at when a store is verified, one small object for each thing.

A part of agnt5 that keeps something beside the log (snapshots, blobs, hashes) adds a check to
``CHECKS``; the reading is done by :mod:`agnt5.verification`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import lru_cache
from itertools import islice

from agnt5.events.base import Fact
from agnt5.events.entity.facts import EntityCallCompleted
from agnt5.events.entity.streams import is_entity_stream
from agnt5.events.index import KeyBinding, RunRow
from agnt5.events.log import LogView, StoredFact
from agnt5.events.projections import (
    bindings_of,
    call_binding_of,
    owes_word,
    row_of,
)
from agnt5.events.run.children import left_alone, owes
from agnt5.events.run.facts import RunQueued
from agnt5.events.run.state import RunState, fold
from agnt5.events.sealing import refusal
from agnt5.events.shredded import decode_any_shown, show_history
from agnt5.events.vault import SHREDDED_DIGEST
from agnt5.exceptions import AGNT5Error
from agnt5.privacy_errors import EncryptionKeyError
from agnt5.verification import MAX_FINDINGS, Check, Finding, Stream, Verification

_RELATIVES = 64
"""Parents and children whose state is remembered: those of one family lie close together."""
_BROKEN = (LookupError, ValueError, TypeError, AttributeError, AssertionError, AGNT5Error)


class FileCheck(Check):
    """The storage finds nothing wrong with itself."""

    def begin(self, view: LogView, *, whole: bool) -> Iterator[Finding]:
        """Ask it, if everything is meant: it cannot look at a part."""
        for damage in view.damages() if whole else ():
            yield Finding("file", damage)


class PlaceCheck(Check):
    """Versions count from 1 without gaps, and positions grow with them."""

    def __init__(self) -> None:
        self._position = 0

    def fact(self, stream: Stream, row: StoredFact, fact: Fact | None) -> Iterator[Finding]:
        """Hold an event against the one before it."""
        if stream.version == 0:
            self._position = 0
        if row.version != stream.version + 1:
            what = f"event {stream.version + 1} should come here"
            yield Finding("version", what, stream.name, row.version)
        if row.position <= self._position:
            what = f"its position {row.position} is not behind {self._position}"
            yield Finding("position", what, stream.name, row.version)
        self._position = row.position
        if fact is not None and row.step != getattr(fact, "key", None):
            what = f"its column step says {row.step!r}, and itself {getattr(fact, 'key', None)!r}"
            yield Finding("column", what, stream.name, row.version)


class EventIdCheck(Check):
    """No two events have the same id."""

    def begin(self, view: LogView, *, whole: bool) -> Iterator[Finding]:
        """Look at all of them at once, or at those of the runs that are meant."""
        for event_id in islice(view.repeated(), MAX_FINDINGS) if whole else ():
            yield Finding("event_id", f"several events have the id {event_id!r}")


class RowCheck(Check):
    """The index has a row for each run, which says what its events add up to."""

    def __init__(self) -> None:
        self._view: LogView | None = None
        self._rows: Iterator[RunRow] | None = None
        self._next: RunRow | None = None

    def begin(self, view: LogView, *, whole: bool) -> Iterator[Finding]:
        """Begin to read the rows: they come in the same order as the runs."""
        self._view = view
        self._rows = view.run_rows() if whole else None
        self._advance()
        yield from ()

    def _advance(self) -> None:
        self._next = next(self._rows, None) if self._rows is not None else None

    def stream(self, stream: Stream) -> Iterator[Finding]:
        """Hold a run against its row."""
        if not stream.is_run:
            return
        if self._rows is None:
            row = self._view.run_row(stream.name) if self._view is not None else None
        else:
            yield from self._skip_to(stream.name)
            row = self._next if self._next and self._next.run_id == stream.name else None
            if row is not None:
                self._advance()
        if row is None:
            yield Finding("row", "it is in the log and has no row in the index", stream.name)
        elif stream.run is not None:
            yield from _differences(row, stream.run)

    def end(self, told: Verification) -> Iterator[Finding]:  # noqa: ARG002
        """What rows are left belong to no run."""
        yield from self._skip_to(None)

    def _skip_to(self, run_id: str | None) -> Iterator[Finding]:
        while self._next is not None and (run_id is None or self._next.run_id < run_id):
            yield Finding("row", "it has a row in the index and no events", self._next.run_id)
            self._advance()


def _differences(row: RunRow, state: RunState) -> Iterator[Finding]:
    # Whether something is owed still is not to be seen from a run alone.
    expected = replace(row_of(state), owes=row.owes)
    for each in fields(row):
        found, wanted = getattr(row, each.name), getattr(expected, each.name)
        if found != wanted:
            what = f"its row says {each.name}={found!r}, and its events {wanted!r}"
            yield Finding("row", what, state.run_id)
    if row.owes and not owes(state):
        what = "its row says that it owes something to other runs, and it does not"
        yield Finding("debt", what, state.run_id)


def _says(found: KeyBinding | None, wanted: KeyBinding) -> bool:
    wanted = replace(wanted, replaces=None)
    # Of an input that was shredded nobody knows the digest any more.
    return found in (wanted, replace(wanted, input_digest=SHREDDED_DIGEST))


class KeyCheck(Check):
    """Each key names the last run that took it, or the answer of the call that did."""

    def __init__(self) -> None:
        self._view: LogView | None = None
        self._whole = False
        self._confirmed = 0

    def begin(self, view: LogView, *, whole: bool) -> Iterator[Finding]:
        """Count anew."""
        self._view, self._whole, self._confirmed = view, whole, 0
        yield from ()

    def fact(self, stream: Stream, row: StoredFact, fact: Fact | None) -> Iterator[Finding]:
        """Look for the keys that an event has taken."""
        for wanted in _bindings_in(row, fact):
            found = self._view.key_binding(wanted.scope) if self._view is not None else None
            if _says(found, wanted):
                self._confirmed += 1
            elif found is None:
                what = f"its key {wanted.scope!r} is not in the index"
                yield Finding("key", what, stream.name, row.version)
            elif found.run_id == wanted.run_id:
                what = f"of its key {wanted.scope!r} the index has another digest"
                yield Finding("key", what, stream.name, row.version)
            elif not self._was_given_on(wanted, row.at, found):
                what = f"its key {wanted.scope!r} names {found.run_id!r}, which took it before"
                yield Finding("key", what, stream.name, row.version)

    def _was_given_on(self, wanted: KeyBinding, at: int, found: KeyBinding) -> bool:
        """Whether the run that has the key took it after this one. Others are found by `end`."""
        rows = self._view.read(found.run_id, upto=1) if self._view is not None else []
        holder = next(_bindings_of(rows, wanted.scope), None)
        if holder is None or holder.replaces == wanted.run_id:
            return True
        return (rows[0].at, found.run_id) > (at, wanted.run_id)

    def end(self, told: Verification) -> Iterator[Finding]:
        """Keys that no event has taken."""
        if not self._whole or self._view is None:
            return
        told.keys = sum(1 for _ in self._view.key_bindings())
        if told.keys > self._confirmed:
            for binding in self._view.key_bindings():
                if not self._is_taken(binding, self._view):
                    what = f"the key {binding.scope!r} is in the index, and no event has taken it"
                    yield Finding("key", what, binding.run_id)

    @staticmethod
    def _is_taken(binding: KeyBinding, view: LogView) -> bool:
        place, _, version = binding.run_id.rpartition("@")
        if is_entity_stream(place) and version.isdecimal():
            rows = view.read(place, after=int(version) - 1, upto=int(version))
        else:
            rows = view.read(binding.run_id, upto=1)
        return any(_bindings_of(rows, binding.scope)) or any(map(_is_sealed, rows))


def _bindings_of(rows: list[StoredFact], scope: str) -> Iterator[KeyBinding]:
    """The keys of a scope that these events have taken; none of what cannot be read."""
    for row in rows:
        try:
            fact = decode_any_shown(row)
        except (AGNT5Error, TypeError):
            continue
        yield from (each for each in _bindings_in(row, fact) if each.scope == scope)


def _is_sealed(row: StoredFact) -> bool:
    return isinstance(refusal(row), EncryptionKeyError)


def _bindings_in(row: StoredFact, fact: Fact | None) -> Iterator[KeyBinding]:
    if isinstance(fact, RunQueued):
        yield from bindings_of(row.stream, fact)
    elif isinstance(fact, EntityCallCompleted):
        binding = call_binding_of(row.stream, row.version, fact)
        if binding is not None:
            yield binding


class FamilyCheck(Check):
    """What runs that have ended owe to others is in the index; their relatives are there."""

    def __init__(self) -> None:
        self._view: LogView | None = None
        self._known: Callable[[str], RunState | None] = lambda _: None

    def begin(self, view: LogView, *, whole: bool) -> Iterator[Finding]:  # noqa: ARG002
        """Know nobody yet."""
        self._view = view
        self._known = lru_cache(_RELATIVES)(lambda run_id: _state_of(view, run_id))
        yield from ()

    def stream(self, stream: Stream) -> Iterator[Finding]:
        """Look at the relatives of a run."""
        state = stream.run
        if state is None or state.queued is None or self._view is None:
            return
        row = self._view.run_row(stream.name) if owes(state) else None
        is_settled = row is not None and not row.owes
        if is_settled and owes_word(state, self._known):
            what = "another run waits for it to tell how it ended, and its row says it owes nothing"
            yield Finding("debt", what, stream.name)
        parent = state.queued.parent_run_id
        if parent is not None and not self._view.read(parent, upto=1):
            yield Finding("parent", f"its parent {parent!r} is not in this store", stream.name)
        for child in left_alone(state) if is_settled else ():
            if not self._view.read(child.child_run_id, upto=1):
                what = f"its child {child.child_run_id!r} is not in this store"
                yield Finding("child", what, stream.name)


def _state_of(view: LogView, run_id: str) -> RunState | None:
    rows = view.read(run_id)
    try:
        return fold(run_id, show_history(rows)) if rows else None
    except _BROKEN:
        return None  # that is found where it is read


CHECKS: list[Callable[[], Check]] = [
    FileCheck,
    PlaceCheck,
    EventIdCheck,
    RowCheck,
    KeyCheck,
    FamilyCheck,
]
"""Makes the checks of every verification."""


def all_checks() -> list[Check]:
    """New ones."""
    return [make() for make in CHECKS]
