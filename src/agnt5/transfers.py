"""Export from and import into a store that no runtime of this process has open."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Unpack

from agnt5.actors.clock import SystemClock
from agnt5.actors.ids import Ids
from agnt5.archive import Imported, Selection, Unfinished, plan_import
from agnt5.events.log import Append, EventLog
from agnt5.histories import MAX_BYTES, Counts, History, Place
from agnt5.history_desk import check_selection, export_selected, raise_first
from agnt5.history_forms import Form, read_form
from agnt5.run_lists import RunFilter, RunFilters
from agnt5.runtime import open_log


def export_runs(
    destination: Place,
    run_ids: str | Sequence[str] | None = None,
    *,
    store: str | None = None,
    form: Form | None = None,
    **filters: Unpack[RunFilters],
) -> Counts:
    """Write the histories of runs to a file. Another process may use the store.

    Args:
        destination: A path, or a file that was opened in binary mode.
        run_ids: One run or several; all that the filters leave if not given.
        store: As for :class:`agnt5.Runtime`.
        form: ``"jsonl"``, or ``"parquet"``, which needs the extra of that name; what the name of
            the file says if not given.
        filters: Which runs: ``status``, ``component``, ``parent_run_id``, ``kind``,
            ``session_id``, ``user_id``, ``since``, ``until``, as for
            :meth:`agnt5.Client.list_runs`.

    Returns:
        How many runs and events were written.

    Raises:
        InvalidInputError: When a filter cannot be meant, or the file is in text mode.
        RunNotFoundError: When one of the ids is no run of this store.
        StoreError: When the store cannot be read.
        OSError: When the file cannot be written.
    """
    selection = Selection(listed(run_ids), RunFilter(**filters))
    check_selection(selection)
    log = open_log(store, readonly=True)
    try:
        return export_selected(log, destination, selection, form)
    finally:
        log.close()


def import_runs(
    source: Place,
    *,
    store: str | None = None,
    unfinished: Unfinished = "suspend",
    max_bytes: int = MAX_BYTES,
    form: Form | None = None,
) -> Imported:
    """Read histories from a file and write them to a store. No runtime may have it.

    Args:
        source: A path, or a file that was opened in binary mode.
        store: As for :class:`agnt5.Runtime`.
        unfinished: ``"suspend"`` lets unfinished runs wait until they are resumed; ``"start"`` lets
            them go on when a runtime opens the store.
        max_bytes: Refuse a larger file; 256 MiB by default.
        form: As for :func:`export_runs`.

    Returns:
        What was written, and what was there already.

    Raises:
        InvalidInputError: When the file is wrong, or a run or its key is there with something
            else. Nothing was written.
        StoreError: When the store is in use, or cannot be written.
        OSError: When the file cannot be read.
    """
    histories = read_form(source, form, max_bytes)
    log = open_log(store)
    try:
        return _import(log, histories, unfinished)
    finally:
        log.close()


def _import(log: EventLog, histories: Sequence[History], unfinished: Unfinished) -> Imported:
    over = threading.Event()
    settled: list[Append] = []

    def on_settled(appends: Sequence[Append]) -> None:
        settled.extend(appends)
        if len(settled) == len(plan.appends):
            over.set()

    plan = plan_import(
        log,
        histories,
        unfinished,
        now=SystemClock().now(),
        event_id=Ids().event_id,
        on_settled=_ignore,
    )
    log.start(on_settled)
    log.append(plan.appends)
    if plan.appends:
        over.wait()
    raise_first(settled)
    return plan.result()


def listed(run_ids: str | Sequence[str] | None) -> Sequence[str] | None:
    """One run id or several, as a sequence."""
    return [run_ids] if isinstance(run_ids, str) else run_ids


def _ignore(append: Append) -> None:
    """Whoever waits is told by the log's sink."""
