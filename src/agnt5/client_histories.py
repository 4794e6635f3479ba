"""What a client takes out of a store as it was recorded, and puts into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from agnt5.archive import Imported, Selection, Unfinished
from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.histories import MAX_BYTES, Counts, History, Place
from agnt5.history_forms import Form
from agnt5.run_lists import RunFilter, RunFilters
from agnt5.transfers import listed


class Archiving(BlockingClient):
    """Take histories out, and put them in."""

    def history(self, run_id: str) -> History:
        """Everything that is recorded of a run, as the store keeps it.

        Args:
            run_id: The run; it may be under way.

        Raises:
            RunNotFoundError: When there is no such run.
        """
        return self._ask(lambda rt: rt.histories.history(run_id))

    def export_runs(
        self,
        destination: Place,
        run_ids: str | Sequence[str] | None = None,
        *,
        form: Form | None = None,
        **filters: Unpack[RunFilters],
    ) -> Counts:
        """Write the histories of runs to a file.

        Args:
            destination: A path, or a file that was opened in binary mode.
            run_ids: One run or several; all that the filters leave if not given.
            form: ``"jsonl"``, or ``"parquet"``, which needs the extra of that name; what the name
                of the file says if not given.
            filters: Which runs: ``status``, ``component``, ``parent_run_id``, ``kind``,
                ``session_id``, ``user_id``, ``since``, ``until``, as for
                :meth:`agnt5.Client.list_runs`.

        Returns:
            How many runs and events were written.

        Raises:
            InvalidInputError: When a filter cannot be meant, or the file is in text mode.
            RunNotFoundError: When one of the ids is no run of this store.
            OSError: When the file cannot be written.
        """
        selection = Selection(listed(run_ids), RunFilter(**filters))
        return self._ask(lambda rt: rt.histories.export_runs(destination, selection, form))

    def import_runs(
        self,
        source: Place,
        *,
        unfinished: Unfinished = "suspend",
        max_bytes: int = MAX_BYTES,
        form: Form | None = None,
    ) -> Imported:
        """Read histories from a file and write them to the store.

        Args:
            source: A path, or a file that was opened in binary mode.
            unfinished: ``"suspend"`` lets unfinished runs wait until :meth:`resume` lets them go
                on; ``"start"`` lets them go on now.
            max_bytes: Refuse a larger file, because all of it is held in memory; 256 MiB by
                default.
            form: As for :meth:`export_runs`.

        Returns:
            What was written, and what was there already.

        Raises:
            InvalidInputError: When the file is wrong, or a run or its key is there with something
                else. Nothing was written.
            StoreError: When the store cannot be written. Runs may have been imported: import
                again, those are skipped.
            OSError: When the file cannot be read.
        """
        return self._ask(lambda rt: rt.histories.import_runs(source, unfinished, max_bytes, form))


class AsyncArchiving(AwaitingClient):
    """The same, awaited."""

    async def history(self, run_id: str) -> History:
        """Everything that is recorded of a run. See :meth:`Client.history`."""
        return await self._ask(lambda rt: rt.histories.history(run_id))

    async def export_runs(
        self,
        destination: Place,
        run_ids: str | Sequence[str] | None = None,
        *,
        form: Form | None = None,
        **filters: Unpack[RunFilters],
    ) -> Counts:
        """Write histories to a file. See :meth:`Client.export_runs`."""
        selection = Selection(listed(run_ids), RunFilter(**filters))
        return await self._ask(lambda rt: rt.histories.export_runs(destination, selection, form))

    async def import_runs(
        self,
        source: Place,
        *,
        unfinished: Unfinished = "suspend",
        max_bytes: int = MAX_BYTES,
        form: Form | None = None,
    ) -> Imported:
        """Import histories from a file. See :meth:`Client.import_runs`."""
        return await self._ask(
            lambda rt: rt.histories.import_runs(source, unfinished, max_bytes, form)
        )
