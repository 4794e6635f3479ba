"""What a client does to look after a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.transfers import listed

if TYPE_CHECKING:
    from agnt5.verification import Verification


class Caring(BlockingClient):
    """Look after a store that is in use."""

    def verify(self, run_ids: str | Sequence[str] | None = None) -> Verification:
        """Whether the store holds together: every stream is folded and held against the index.

        Everything is seen as of one moment; runs go on meanwhile.

        Args:
            run_ids: One run or several; everything if not given, and only then are the file, event
                ids and left-over rows and keys looked at.

        Returns:
            What was looked at, and what does not hold, each with what to do.

        Raises:
            RunNotFoundError: When one of the runs is not there at all.
            StoreError: When the disk fails. What is damaged is told, and not raised.
        """
        return self._ask(lambda rt: rt.care.verify(listed(run_ids)))


class AsyncCaring(AwaitingClient):
    """The same, awaited."""

    async def verify(self, run_ids: str | Sequence[str] | None = None) -> Verification:
        """Whether the store holds together. See :meth:`Client.verify`."""
        return await self._ask(lambda rt: rt.care.verify(listed(run_ids)))
