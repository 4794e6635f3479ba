"""Looking after a store that no runtime of this process has open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agnt5.care_desk import verify_log
from agnt5.events.care import Care, Vacuumed
from agnt5.exceptions import ConfigurationError
from agnt5.opened_stores import open_log
from agnt5.transfers import listed

if TYPE_CHECKING:
    from agnt5.keyring import Keyring
    from agnt5.verification import Verification


def verify_store(
    store: str | None = None,
    run_ids: str | Sequence[str] | None = None,
    *,
    encryption: Keyring | None = None,
) -> Verification:
    """Whether a store holds together, as :meth:`agnt5.Client.verify`. It is only read.

    Another process may use it meanwhile: everything is seen as of one moment.

    Args:
        store: As for :class:`agnt5.Runtime`.
        run_ids: One run or several; everything if not given.
        encryption: As for :class:`agnt5.Runtime`.

    Raises:
        RunNotFoundError: When one of the runs is not there at all.
        EncryptionKeyError: When something is encrypted, and its key is not given.
        StoreError: When there is no store, or the disk fails.
    """
    log = open_log(store, readonly=True, encryption=encryption)
    try:
        return verify_log(log, listed(run_ids))
    finally:
        log.close()


def vacuum_store(store: str | None = None) -> Vacuumed:
    """Give room that nobody uses any more back to the disk. No runtime may have the store open.

    Nothing else changes: events keep their positions. It takes about as long as copying the file,
    and as much room as what is in use takes, twice for that time.

    Args:
        store: As for :class:`agnt5.Runtime`.

    Returns:
        How many bytes it took before, and takes now.

    Raises:
        ConfigurationError: When it is a store that lies on no disk.
        StoreInUseError: When a process has it open; the message says which one.
        StoreFullError: When the disk has too little room for it. Nothing was done.
        StoreError: When there is no store, or it cannot be read or written.
    """
    log = open_log(store, create=False, as_it_lies=True)
    try:
        if not isinstance(log, Care):
            raise ConfigurationError("a store in memory has no file: there is nothing to vacuum")
        return log.vacuum()
    finally:
        log.close()
