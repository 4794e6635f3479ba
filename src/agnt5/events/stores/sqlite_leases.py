"""The lease table of a SQLite store: claims, releases, and the check that every append makes.

The lock beside the file keeps other processes out; the epoch is for a process that has lost the
lock and does not know it. The caller brings the transaction.
"""

from __future__ import annotations

import sqlite3

from agnt5.events.leases import LOST, RELEASED, STORE_SCOPE, Lease, Tenure
from agnt5.exceptions import StaleEpochError

_HELD = "SELECT owner, epoch FROM leases WHERE scope=?"
_CLAIM = (
    "INSERT INTO leases (scope, owner, epoch) VALUES (?,?,1) ON CONFLICT (scope) "
    "DO UPDATE SET owner=excluded.owner, epoch=leases.epoch+1"
)
_RELEASE = "UPDATE leases SET owner='' WHERE scope=? AND owner=? AND epoch=?"
_STANDS = "SELECT 1 FROM leases WHERE scope=? AND owner=? AND epoch=?"


class StoreLease:
    """The lease under which a write connection appends."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lease: Lease | None = None
        self.tenure = Tenure(path)

    def adopt(self, lease: Lease, before: str) -> None:
        """From here on it is the one we write under: its claim is durable."""
        self._lease = lease
        self.tenure.begin(lease, before=before)

    def check(self, connection: sqlite3.Connection) -> None:
        """Refuse to write when another has claimed the store. Raises StaleEpochError."""
        lease = self._lease
        values = (lease.scope, lease.owner, lease.epoch) if lease else (STORE_SCOPE, "", 0)
        if connection.execute(_STANDS, values).fetchone() is None:
            self.tenure.end(LOST)
            raise StaleEpochError(
                f"{self._path} has another owner now (we had epoch {values[2]}). Nothing more is "
                f"written from here. End this process, or open the store again."
            )

    def release(self, connection: sqlite3.Connection, lease: Lease | None) -> Lease | None:
        """Give up a lease, or the one we write under. The epoch stays: it only ever grows.

        Answers the one that was given up; None when it was another's already.
        """
        lease = lease or self._lease
        if lease is None:
            return None
        values = (lease.scope, lease.owner, lease.epoch)
        return lease if connection.execute(_RELEASE, values).rowcount else None

    def released(self, lease: Lease | None) -> None:
        """What was given up is durable."""
        if lease is not None and lease == self._lease:
            self.tenure.end(RELEASED)


def claim(connection: sqlite3.Connection, scope: str, owner: str) -> tuple[Lease, str]:
    """Give a scope to an owner under a new epoch; answers also who has not released it before."""
    found = connection.execute(_HELD, (scope,)).fetchone()
    before, epoch = ("", 0) if found is None else (str(found[0]), int(found[1]))
    connection.execute(_CLAIM, (scope, owner))
    return Lease(scope, owner, epoch + 1), before
