"""The desk for privacy and evidence: rotates keys, shreds, checks. Lives on the runtime's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from agnt5.events.chain import Head
from agnt5.events.chain_check import ChainReport
from agnt5.events.index import RunRow
from agnt5.events.log import EventLog
from agnt5.events.query import EventQuery
from agnt5.events.vault import Encrypting
from agnt5.exceptions import ConfigurationError, InvalidInputError
from agnt5.names import check_patience, check_text
from agnt5.runs import Runs

_NAMED = 5
_LONGEST_SUBJECT = 512


class Chained(Protocol):
    """A log with a hash chain."""

    def sign_head(self) -> Head | None:
        """Sign what has changed since the last head; the newest one."""
        ...

    def verify_chain(
        self, public_keys: Sequence[str] = (), expected: tuple[int, str] | None = None
    ) -> ChainReport:
        """Hold every fact to the chain."""
        ...


@dataclass(frozen=True, slots=True)
class Shredded:
    """What shredding a subject has done.

    Attributes:
        subject: The subject.
        runs: The runs of the subject. Each is still listed, with what is in clear.
        keys: How many data keys were destroyed; 0 if there were none, or none any more.
        scrubbed: Whether no trace of a destroyed key is left in the store's files. False: somebody
            reads the store just now; shred again later, or open the store again.
        facts_in_clear: Facts of the subject's runs that were never encrypted, because they are
            older than the encryption of this store: they are still readable.
    """

    subject: str
    runs: tuple[str, ...]
    keys: int
    scrubbed: bool
    facts_in_clear: int


class PrivacyDesk:
    """Keys, and the hash chain, of the store of a runtime."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def rotate_keys(self) -> int:
        """Wrap every data key with the newest master key."""
        bus = self._runs.bus
        return await self._runs.look(encrypting(bus.log).rotate, bus.clock.now())

    async def shred(self, subject: str, *, cancel: bool, timeout: float) -> Shredded:
        """Destroy the data keys of a subject."""
        check_text(subject, "subject", _LONGEST_SUBJECT)
        check_patience(timeout)
        look, bus = self._runs.look, self._runs.bus
        log = encrypting(bus.log)
        if cancel:
            await self._cancel(subject, timeout)
        names = await look(log.retire, subject, bus.clock.now())
        # What was encrypted before must be in the store before we look what is under way.
        await look(log.wait_for, names)
        rows = await look(self._rows_of, bus.log, subject)
        _refuse_busy(subject, await look(_busy, log, rows, names))
        run_ids = tuple(row.run_id for row in rows)
        scrubbed = await look(log.destroy, names, bus.clock.now())
        _, in_clear = await look(log.records, run_ids)
        return Shredded(subject, run_ids, len(names), scrubbed, in_clear)

    async def sign_head(self) -> tuple[int, str] | None:
        """Sign what has changed; number and hash of the newest head."""
        head = await self._runs.look(chained(self._runs.bus.log).sign_head)
        return None if head is None else (head.seq, head.hash)

    async def verify_chain(
        self, public_keys: str | Sequence[str], expected: tuple[int, str] | None
    ) -> ChainReport:
        """Hold every fact to the hash chain."""
        keys = [public_keys] if isinstance(public_keys, str) else public_keys
        return await self._runs.look(chained(self._runs.bus.log).verify_chain, keys, expected)

    async def _cancel(self, subject: str, timeout: float) -> None:
        rows = await self._runs.look(self._rows_of, self._runs.bus.log, subject)
        waiting = [row.run_id for row in rows if row.finished_at is None]
        for run_id in waiting:
            await self._runs.cancel(run_id, "what is recorded of its subject is to be shredded")
        try:
            async with asyncio.timeout(timeout):
                for run_id in waiting:
                    await self._runs.result(run_id, None)
        except TimeoutError:
            return  # what is left is named when it is refused

    @staticmethod
    def _rows_of(log: EventLog, subject: str) -> list[RunRow]:
        counts = log.count(EventQuery(user_id=subject), "run_id")
        found = (log.run_row(run_id) for run_id in sorted(filter(None, counts)))
        return [row for row in found if row is not None]


def encrypting(log: object) -> Encrypting:
    """The encrypted log in a log.

    Raises:
        ConfigurationError: When it is not encrypted.
    """
    found = _layer(log, "rotate")
    if found is None:
        msg = "this store is not encrypted: give Runtime(encryption=Keyring(...))"
        raise ConfigurationError(msg)
    return cast("Encrypting", found)


def chained(log: object) -> Chained:
    """The log in a log that may have a hash chain.

    Raises:
        ConfigurationError: When it cannot.
    """
    found = _layer(log, "verify_chain")
    if found is None:
        raise ConfigurationError("a store in memory has no hash chain: give a sqlite:/// address")
    return cast("Chained", found)


def _layer(log: object, method: str) -> object | None:
    layer: object | None = log
    while layer is not None and not hasattr(layer, method):
        layer = getattr(layer, "inner", None)
    return layer


def _busy(log: Encrypting, rows: Sequence[RunRow], names: Sequence[str]) -> list[str]:
    """Runs that still need a key which is to be destroyed."""
    busy: list[str] = []
    for row in rows:
        if row.finished_at is None or row.owes:
            name = log.key_name_of(row.run_id)
            if name is None or name in names:
                busy.append(row.run_id)
    return busy


def _refuse_busy(subject: str, busy: Sequence[str]) -> None:
    if busy:
        more = f" and {len(busy) - _NAMED} more" if len(busy) > _NAMED else ""
        msg = (
            f"{subject!r} has {len(busy)} runs that have not ended, or have not told their parents:"
            f" {', '.join(busy[:_NAMED])}{more}. Nothing was shredded. Cancel them, or shred with"
            " cancel=True."
        )
        raise InvalidInputError(msg)
