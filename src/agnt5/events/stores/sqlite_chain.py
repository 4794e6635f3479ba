"""Writes the hash chain of a SQLite store, in the transactions of the facts that it covers.

Which hash a fact gets is known only when it is certain that the fact before it is there: so it is
computed here, on the thread of the write connection, and not where the append comes from.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence

from agnt5.events.chain import Head, HeadContent, Place, beginning, fact_hash, signed_text
from agnt5.events.log import Append, Removal
from agnt5.events.stores.sqlite_recorder import MultiInsert, SqlValue
from agnt5.events.stores.sqlite_schema import EVENT_COLUMNS
from agnt5.exceptions import StoreError
from agnt5.signing import HashChain

_REMEMBERED = 20_000
_WIDTH = len(EVENT_COLUMNS)
_FACTS = MultiInsert("INSERT INTO stored_events", (*EVENT_COLUMNS, "hash"))
_BEFORE = "SELECT hash FROM stored_events WHERE originator_id=? AND originator_version=?"
_UPTO = (
    f"SELECT {','.join(EVENT_COLUMNS)} FROM stored_events "
    "WHERE originator_id=? AND originator_version<=? ORDER BY originator_version"
)
_BEGUN = "SELECT at, position FROM chain_begun"
_POSITION = "SELECT coalesce(max(rowid),0) FROM stored_events"
# The clock of SQLite, in microseconds: a store asks nobody else for the time.
_BEGIN = (
    "INSERT INTO chain_begun (n, at, position) "
    f"SELECT 1, CAST((julianday('now')-2440587.5)*86400000000 AS INTEGER), ({_POSITION})"
)
_LAST_AT = "SELECT recorded_at FROM stored_events ORDER BY rowid DESC LIMIT 1"
_LAST_HEAD = (
    "SELECT seq, position, body, signer, signature FROM chain_heads ORDER BY seq DESC LIMIT 1"
)
_PUT_HEAD = "INSERT INTO chain_heads (seq, position, body, signer, signature) VALUES (?,?,?,?,?)"
# SQLite takes the other column of a group from the row with its maximum.
_GROWN = (
    "SELECT originator_id, max(originator_version), hash FROM stored_events "
    "WHERE rowid>? GROUP BY originator_id"
)


def begin_chain(connection: sqlite3.Connection, settings: HashChain | None) -> ChainWriter | None:
    """The chain of a store, begun now if the settings ask for one and there is none."""
    start = connection.execute(_BEGUN).fetchone()
    if start is None and settings is not None and settings.begins:
        connection.execute(_BEGIN)
        start = connection.execute(_BEGUN).fetchone()
    if start is None:
        return None
    return ChainWriter(settings or HashChain(), (int(start[0]), int(start[1])))


def last_head(connection: sqlite3.Connection) -> Head | None:
    """The newest head, or None."""
    row = connection.execute(_LAST_HEAD).fetchone()
    return None if row is None else head_of(row)


def head_of(row: Sequence[SqlValue]) -> Head:
    """The head of a row; what is there may have been tampered with."""
    seq, position, body, signer, signature = row
    return Head(
        seq if isinstance(seq, int) else -1,
        position if isinstance(position, int) else -1,
        body if isinstance(body, bytes) else str(body).encode(),
        str(signer),
        signature if isinstance(signature, bytes) else b"",
    )


class ChainWriter:
    """The chain of one store, for the thread of the write connection."""

    def __init__(self, settings: HashChain, begun: tuple[int, int]) -> None:
        self._settings = settings
        self._begun = begun
        self._tails: OrderedDict[str, Place] = OrderedDict()
        # Of the transaction that is being tried.
        self._fresh: dict[str, Place] = {}
        self._written = 0
        self._is_signed = False
        # Facts since the last head; None: to be read.
        self._unsigned: int | None = None

    @property
    def signs(self) -> bool:
        """Whether there is a key to sign heads with."""
        return self._settings.signing_key is not None

    @property
    def public_keys(self) -> tuple[str, ...]:
        """Of the key to sign with."""
        key = self._settings.signing_key
        return () if key is None else (key.public,)

    def begin(self) -> None:
        """A transaction begins, or begins anew."""
        self._fresh.clear()
        self._written, self._is_signed = 0, False

    def take_back(self, append: Append) -> None:
        """What was written of an append in this transaction was taken back."""
        self._fresh.pop(append.stream, None)
        if append.begins is not None:
            self._fresh.pop(append.begins.stream, None)

    def committed(self) -> None:
        """The transaction is durable."""
        self._tails.update(self._fresh)
        while len(self._tails) > _REMEMBERED:
            self._tails.popitem(last=False)
        if self._is_signed:
            self._unsigned = 0
        elif self._unsigned is not None:
            self._unsigned += self._written
        self.begin()

    def doubt(self) -> None:
        """It is not known what is durable: read it again."""
        self.begin()
        self._tails.clear()
        self._unsigned = None

    def insert(self, connection: sqlite3.Connection, values: Sequence[SqlValue]) -> None:
        """Insert the facts whose columns lie one after another, with their hashes."""
        chained: list[SqlValue] = []
        for start in range(0, len(values), _WIDTH):
            fact = values[start : start + _WIDTH]
            stream, version = str(fact[0]), int(fact[1] or 0)
            digest = hash_of_row(self._before(connection, stream, version), fact)
            self._fresh[stream] = (version, digest)
            chained += fact
            chained.append(digest)
        _FACTS.run(connection, chained)
        self._written += len(values) // _WIDTH

    def sign_if_due(self, connection: sqlite3.Connection) -> None:
        """Write a head in the present transaction if there are enough facts since the last one."""
        if self._settings.signing_key is None:
            return
        if self._unsigned is None:
            before = int(connection.execute(_POSITION).fetchone()[0]) - self._written
            self._unsigned = before - self._signed_position(connection)
        if self._unsigned + self._written >= self._settings.every:
            self.sign(connection)

    def sign(
        self, connection: sqlite3.Connection, gone: Sequence[tuple[str, Place]] = ()
    ) -> Head | None:
        """Write a head in the present transaction, over all that has changed; None if nothing has.

        Raises:
            StoreError: When there is no signing key.
        """
        key = self._settings.signing_key
        if key is None:
            msg = (
                "this store has a hash chain with signed heads, and was opened without the signing"
                " key: give Runtime(chain=HashChain(signing_key=...))"
            )
            raise StoreError(msg)
        last = last_head(connection)
        grown = {
            str(stream): self._place(str(stream), int(version), digest)
            for stream, version, digest in connection.execute(
                _GROWN, (self._signed_position(connection),)
            )
        }
        if not grown and not gone:
            return None
        position = int(connection.execute(_POSITION).fetchone()[0])
        row = connection.execute(_LAST_AT).fetchone()
        content = HeadContent(
            seq=last.seq + 1 if last else 1,
            previous=last.hash if last else None,
            at=int(row[0]) if row else self._begun[0],
            position=position,
            begun=self._begun,
            streams={stream: (n, digest.hex()) for stream, (n, digest) in grown.items()},
            gone={stream: (n, digest.hex()) for stream, (n, digest) in gone},
        )
        body = content.body()
        head = Head(content.seq, position, body, key.public, key.sign(signed_text(body)))
        values = (head.seq, head.position, head.body, head.signer, head.signature)
        connection.execute(_PUT_HEAD, values)
        self._is_signed = True
        return head

    def forgotten(self, connection: sqlite3.Connection, removals: Sequence[Removal]) -> None:
        """Say in a signed head that runs are about to be deleted on purpose.

        Raises:
            StoreError: When there are heads, and no key to sign one with. Nothing was deleted.
        """
        if self._settings.signing_key is None and last_head(connection) is None:
            return
        gone = [
            (each.stream, (each.version, self._before(connection, each.stream, each.version + 1)))
            for each in removals
        ]
        if gone:
            self.sign(connection, gone)
        for each in removals:
            self._tails.pop(each.stream, None)

    def _signed_position(self, connection: sqlite3.Connection) -> int:
        last = last_head(connection)
        return self._begun[1] if last is None else last.position

    def _place(self, stream: str, version: int, digest: SqlValue) -> Place:
        # What we have written ourselves counts, whatever the file says by now.
        known = self._fresh.get(stream) or self._tails.get(stream)
        if known is not None and known[0] == version:
            return known
        return version, digest if isinstance(digest, bytes) else b""

    def _before(self, connection: sqlite3.Connection, stream: str, version: int) -> bytes:
        """The hash of the fact before this version."""
        for places in (self._fresh, self._tails):
            place = places.get(stream)
            if place is not None and place[0] == version - 1:
                return place[1]
        if version <= 1:
            return beginning(stream)
        row = connection.execute(_BEFORE, (stream, version - 1)).fetchone()
        if row is not None and isinstance(row[0], bytes):
            return row[0]
        # The run is older than the chain: its facts until now are taken as they are.
        digest = beginning(stream)
        for fact in connection.execute(_UPTO, (stream, version - 1)):
            digest = hash_of_row(digest, fact)
        return digest


def hash_of_row(previous: bytes, fact: Sequence[SqlValue]) -> bytes:
    """The hash of a fact, as its columns lie in the order of `EVENT_COLUMNS`."""
    stream, version, topic, state, event_id, at, step = fact
    return fact_hash(
        previous,
        str(stream),
        int(version or 0),
        str(topic),
        as_it_lies(state),
        str(event_id),
        int(at or 0),
        None if step is None else str(step),
    )


def as_it_lies(state: SqlValue) -> bytes:
    """The column of a state, such that a text (one that has pointers to blobs) is no bytes."""
    return state if isinstance(state, bytes) else b"text\0" + str(state).encode()
