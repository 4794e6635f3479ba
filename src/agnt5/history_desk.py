"""The desk for histories: exports runs of an open store, and imports them. Lives on its loop."""

from __future__ import annotations

import asyncio

from agnt5.archive import Imported, Selection, Unfinished, history_of, plan_import, select_histories
from agnt5.events.log import Append, EventLog
from agnt5.exceptions import InvalidInputError
from agnt5.histories import Counts, History, Place
from agnt5.history_forms import Form, read_form, write_form
from agnt5.runs import Runs


class HistoryDesk:
    """Histories out of a runtime's store, and into it."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def history(self, run_id: str) -> History:
        """Everything that is recorded of a run."""
        return history_of(run_id, await self._runs.look(self._runs.bus.log.read, run_id))

    async def export_runs(
        self, destination: Place, selection: Selection, form: Form | None
    ) -> Counts:
        """Write histories to a file."""
        check_selection(selection)
        log = self._runs.bus.log
        return await self._runs.look(export_selected, log, destination, selection, form)

    async def import_runs(
        self, source: Place, unfinished: Unfinished, max_bytes: int, form: Form | None
    ) -> Imported:
        """Read histories from a file and write them to the store."""
        bus = self._runs.bus
        histories = await asyncio.to_thread(read_form, source, form, max_bytes)
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        settled: list[Append] = []

        def on_settled(append: Append) -> None:
            settled.append(append)
            if len(settled) == len(plan.appends):
                over.set_result(None)

        plan = await self._runs.look(
            plan_import,
            bus.log,
            histories,
            unfinished,
            now=bus.clock.now(),
            event_id=bus.ids.event_id,
            on_settled=on_settled,
        )
        journal = self._runs.bus.journal
        for append in plan.appends:
            journal.append(append)
        if plan.appends:
            await over
        raise_first(settled)
        for run_id in plan.to_start:
            self._runs.bus.wake(run_id)
        return plan.result()


def check_selection(selection: Selection) -> None:
    """Refuse filters that cannot be meant.

    Raises:
        InvalidInputError: With what was given.
    """
    selection.wanted.check()
    run_ids = selection.run_ids
    if run_ids is None:
        return
    if not selection.wanted.is_empty:
        raise InvalidInputError("give run ids or filters, not both: which runs are meant?")
    for run_id in run_ids:
        if not isinstance(run_id, str) or not run_id:
            raise InvalidInputError(f"a run id is a text that is not empty, not {run_id!r}")


def export_selected(
    log: EventLog, destination: Place, selection: Selection, form: Form | None
) -> Counts:
    """Write the histories of a log that are meant."""
    return write_form(select_histories(log, selection), destination, form)


def raise_first(settled: list[Append]) -> None:
    """Raise what an append failed with, if one did. Others may have been written.

    Raises:
        StoreError: As the log said.
    """
    for append in settled:
        if append.error is not None:
            append.error.add_note(
                "runs before it may have been imported: import again, those are skipped"
            )
            raise append.error
