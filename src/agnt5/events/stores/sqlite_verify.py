"""Reads a SQLite store for a check of its hash chain: as of one moment, a portion at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from agnt5.events.chain_check import ChainCheck, ChainReport
from agnt5.events.log import StoredFact
from agnt5.events.stores.sqlite_blobs import blobs_of, digests_in
from agnt5.events.stores.sqlite_chain import as_it_lies, head_of
from agnt5.events.stores.sqlite_errors import translate
from agnt5.events.stores.sqlite_schema import connect
from agnt5.signing import is_signed

_CACHE_KIB = 8192
_TABLE = "SELECT 1 FROM sqlite_master WHERE name='chain_begun'"
_BEGUN = "SELECT at, position FROM chain_begun"
_HEADS = "SELECT seq, position, body, signer, signature FROM chain_heads ORDER BY seq"
_FACTS = (
    "SELECT originator_id, originator_version, rowid, topic, state, recorded_at, event_id, step, "
    "hash, metadata IS NOT NULL FROM stored_events ORDER BY originator_id, originator_version"
)


def verify(
    path: str, mode: str, public_keys: Sequence[str], expected: tuple[int, str] | None
) -> ChainReport:
    """Hold every fact of a file to its hash chain.

    Args:
        path: The file.
        mode: How to open it.
        public_keys: Whose signatures of heads are believed.
        expected: Number and hash of a head that must be there.

    Raises:
        StoreError: When the file cannot be read.
        ConfigurationError: When a public key is none.
    """
    try:
        connection = connect(path, mode=mode, cache_kib=_CACHE_KIB)
        try:
            # A byte that was changed may leave a text that is none: to be found, not raised.
            connection.text_factory = _text
            connection.execute("BEGIN")
            return _verified(connection, public_keys, expected)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translate(error, path) from error


def _verified(
    connection: sqlite3.Connection, public_keys: Sequence[str], expected: tuple[int, str] | None
) -> ChainReport:
    is_known = connection.execute(_TABLE).fetchone()
    begun = connection.execute(_BEGUN).fetchone() if is_known else None
    if begun is None:
        return ChainReport(None)
    check = ChainCheck((int(begun[0]), int(begun[1])), frozenset(public_keys), is_signed, expected)
    check.heads(map(head_of, connection.execute(_HEADS)))
    known = _check_blobs(connection, check)
    for fact, digest, pointers, is_added_to in _facts(connection):
        check.see(fact, digest)
        if is_added_to:
            check.tell(fact, "its column metadata holds something, and agnt5 writes nothing there")
        for each in pointers:
            if each not in known:
                check.tell(fact, f"the blob {each[:12]} that it points to is not there")
    return check.end()


def _check_blobs(connection: sqlite3.Connection, check: ChainCheck) -> set[str]:
    """Long payloads lie apart, under their digests, and the facts name those."""
    known: set[str] = set()
    for digest, is_whole in blobs_of(connection):
        if is_whole:
            known.add(digest)
        else:
            check.tell(None, f"the blob {digest[:12]} was changed")
    return known


def _facts(
    connection: sqlite3.Connection,
) -> Iterator[tuple[StoredFact, bytes | None, Sequence[str], bool]]:
    """Each with its hash, the blobs that it names, whether the column that stays empty is not."""
    for row in connection.execute(_FACTS):
        stream, version, position, topic, state, at, event_id, step, digest, is_added_to = row
        fact = StoredFact(
            str(stream),
            _number(version),
            _number(position),
            str(topic),
            as_it_lies(state),
            _number(at),
            str(event_id),
            None if step is None else str(step),
        )
        pointers = () if isinstance(state, bytes) else digests_in([str(state)])
        chained = digest if isinstance(digest, bytes) else None
        yield fact, chained, pointers, bool(is_added_to)


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _number(value: object) -> int:
    return value if isinstance(value, int) else -1
