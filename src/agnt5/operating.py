"""Stores seen by those who execute nothing: who only looks, and who operates runs from outside.

Both are runtimes, so that every desk and every method of a client works with them. An onlooker
never changes or creates a file, and works while another process has the store. An operator takes
the store as any runtime does, for as long as it takes to write down what is asked for; no run is
executed, suspended or taken up by it, and none of the user's code is needed.
"""

from __future__ import annotations

import asyncio

from agnt5.actors.quiet import LookingBus, QuietBus
from agnt5.exceptions import ConfigurationError, StoreInUseError
from agnt5.runtime import Runtime, open_log, store_url


class Onlooker(Runtime):
    """Looks at a store that is there, whoever has it open.

    What writes raises StoreReadOnlyError. Who follows the log hears of what another process
    writes within a fraction of a second.

    Args:
        store: As for :class:`agnt5.Runtime`; one that outlives its process.

    Raises:
        ConfigurationError: When it is no store that another process can look at.
    """

    bus_class = LookingBus

    def __init__(self, store: str | None = None) -> None:
        super().__init__(_lasting(store))

    async def start(self) -> None:
        """Open the store.

        Raises:
            StoreError: When it is not there, or cannot be read.
        """
        self._log = await asyncio.to_thread(open_log, self.store, readonly=True)
        await super().start()


class Operator(Runtime):
    """Writes down what somebody outside asks of runs: to stop, an answer, a signal.

    It is durable when the client's method returns, and takes effect when a program that executes
    the runs opens the store. Queries and updates need the run's code and are refused.

    Args:
        store: As for :class:`agnt5.Runtime`; one that outlives its process.
        create: Make it unless it is there.

    Raises:
        ConfigurationError: When it is no store that another process can operate on.
    """

    bus_class = QuietBus

    def __init__(self, store: str | None = None, *, create: bool = False) -> None:
        super().__init__(_lasting(store), grace=0)
        self._create = create

    async def start(self) -> None:
        """Open the store.

        Raises:
            StoreInUseError: When another process has it open.
            StoreError: When it is not there, or cannot be read or written.
        """
        try:
            self._log = await asyncio.to_thread(open_log, self.store, create=self._create)
        except StoreInUseError as error:
            raise StoreInUseError(
                f"{error} Or ask that process itself, through its client: it need not be ended."
            ) from error
        await super().start()


def _lasting(store: str | None) -> str:
    url = store_url(store)
    if url.startswith("memory://"):
        raise ConfigurationError(
            "a store in memory:// is seen by its own process only: name one that lasts, such as"
            " sqlite:///app.db"
        )
    return url
