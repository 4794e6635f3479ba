"""What a client does to look after a store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.exceptions import ConfigurationError
from agnt5.transfers import listed

if TYPE_CHECKING:
    from agnt5.diagnosis import Diagnosis
    from agnt5.pruning import Pruned
    from agnt5.retention import Payloads, Place
    from agnt5.runtime import Runtime
    from agnt5.verification import Verification


STUCK_AFTER: Final = timedelta(minutes=10)
"""How long nothing may happen in a run that could go on."""


async def _verified(
    runtime: Runtime,
    run_ids: Sequence[str] | None,
    evidence: tuple[str | Sequence[str], tuple[int, str] | None] | None,
) -> Verification:
    if evidence is None:
        return await runtime.care.verify(run_ids)
    report = await runtime.privacy.verify_chain(*evidence)
    if report.begun_at is None:
        raise ConfigurationError("this store has no hash chain: begin one with Runtime(chain=...)")
    found = await runtime.care.verify(run_ids, needs_keys=False)
    found.chain = report
    return found


class Caring(BlockingClient):
    """Look after a store that is in use."""

    def verify(
        self,
        run_ids: str | Sequence[str] | None = None,
        *,
        chain: bool = False,
        public_keys: str | Sequence[str] = (),
        expected: tuple[int, str] | None = None,
    ) -> Verification:
        """Whether the store holds together: every stream is folded and held against the index.

        Everything is seen as of one moment; runs go on meanwhile.

        Args:
            run_ids: One run or several; everything if not given, and only then are the file, event
                ids and left-over rows and keys looked at.
            chain: Hold all of the store to its hash chain, too, a moment before. What is encrypted
                may then be without its keys: the chain is over what lies there.
            public_keys: As for :meth:`verify_chain`; only with ``chain``.
            expected: The same.

        Returns:
            What was looked at, and what does not hold, each with what to do.

        Raises:
            RunNotFoundError: When one of the runs is not there at all.
            ConfigurationError: When a chain is meant, and the store has none.
            EncryptionKeyError: When something is encrypted, its key is not given, and no chain is
                meant.
            StoreError: When the disk fails. What is damaged is told, and not raised.
        """
        evidence = (public_keys, expected) if chain else None
        return self._ask(lambda rt: _verified(rt, listed(run_ids), evidence))

    def doctor(self, stuck_after: timedelta = STUCK_AFTER) -> Diagnosis:
        """How the store and its runs are: what is large, what does not move, and what to do.

        Args:
            stuck_after: Of a run that could go on: how long nothing may happen before it is told;
                ten minutes by default.

        Raises:
            InvalidInputError: When ``stuck_after`` is no time.
            StoreError: When the store cannot be read.
        """
        return self._ask(lambda rt: rt.care.doctor(stuck_after, rt.settings.limits))

    def prune(
        self,
        older_than: timedelta,
        *,
        archive: Place | None,
        component: str | None = None,
        status: str | None = None,
        payloads: Payloads | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Delete runs that ended long enough ago, with all that they have started.

        They are deleted in small batches; runs go on meanwhile. What must stay is counted in
        ``kept``. Idempotency keys are forgotten with the run that they name.

        Args:
            older_than: The run, and every run that it has started, ended at least so long ago.
            archive: A folder that they are written to first; None to have them deleted and gone.
            component: Only runs of this function or workflow.
            status: Only runs that ended so: ``completed``, ``failed`` or ``cancelled``.
            payloads: Needed for an archive of an encrypted store: ``"plain"`` says that it may be
                written in clear.
            dry_run: Only say what would be deleted.

        Returns:
            What was deleted, and what had to stay.

        Raises:
            InvalidInputError: When an argument cannot be meant. Nothing was deleted.
            StoreError: When the store cannot be read or written; whole batches may be gone.
            OSError: When the archive cannot be written; nothing that is not in it was deleted.
        """
        return self._ask(
            lambda rt: rt.care.prune(
                older_than, archive, component, status, payloads=payloads, dry_run=dry_run
            )
        )


class AsyncCaring(AwaitingClient):
    """The same, awaited."""

    async def verify(
        self,
        run_ids: str | Sequence[str] | None = None,
        *,
        chain: bool = False,
        public_keys: str | Sequence[str] = (),
        expected: tuple[int, str] | None = None,
    ) -> Verification:
        """Whether the store holds together. See :meth:`Client.verify`."""
        evidence = (public_keys, expected) if chain else None
        return await self._ask(lambda rt: _verified(rt, listed(run_ids), evidence))

    async def doctor(self, stuck_after: timedelta = STUCK_AFTER) -> Diagnosis:
        """How the store and its runs are. See :meth:`Client.doctor`."""
        return await self._ask(lambda rt: rt.care.doctor(stuck_after, rt.settings.limits))

    async def prune(
        self,
        older_than: timedelta,
        *,
        archive: Place | None,
        component: str | None = None,
        status: str | None = None,
        payloads: Payloads | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Delete runs that ended long enough ago. See :meth:`Client.prune`."""
        return await self._ask(
            lambda rt: rt.care.prune(
                older_than, archive, component, status, payloads=payloads, dry_run=dry_run
            )
        )
