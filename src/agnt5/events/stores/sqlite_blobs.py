"""Big payloads of a SQLite store: kept once each, under their digest, and put back when read.

A fact whose state is longer than the threshold is stored as text instead of bytes, with pointers,
``{"$":"blob","v":"DIGEST"}``, in the place of its longest fields. The type of the column tells:
bytes are the state itself, and cost nothing more than a look at their length. Nothing above the
store knows of it, and what is read is what was written, bit for bit. A state that is no fact of
ours is one blob as a whole.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from agnt5.events.log import Collected

BLOB_THRESHOLD = 65_536
"""States up to so many bytes lie in the log itself."""

MARK = '{"$":"blob","v":"'
"""How a pointer begins. A state that has these characters itself is stored as a whole blob."""
DIGEST_LENGTH = 64
_POINTER_LENGTH = len(MARK) + DIGEST_LENGTH + 2
_Span = tuple[int, int]

_POINTER = re.compile(re.escape(MARK) + r'([0-9a-f]{64})"\}')
# What it gives is not looked at: numbers stay texts, and may be as long as they like.
_SCAN = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_GROUP = 100

TABLES = (
    "CREATE TABLE blobs (digest TEXT NOT NULL PRIMARY KEY, content BLOB NOT NULL)",
    # Which facts use which blob: what nobody uses is found without reading the log.
    (
        "CREATE TABLE blob_uses (originator_id TEXT NOT NULL, originator_version INTEGER NOT NULL,"
        " digest TEXT NOT NULL, PRIMARY KEY (originator_id, originator_version, digest))"
        " WITHOUT ROWID"
    ),
    "CREATE INDEX blob_uses_digest ON blob_uses(digest)",
)

_KEEP = "INSERT OR IGNORE INTO blobs (digest, content) VALUES (?,?)"
_USE = "INSERT OR IGNORE INTO blob_uses (originator_id, originator_version, digest) VALUES (?,?,?)"
FETCH = "SELECT digest, content FROM blobs WHERE digest IN (SELECT value FROM json_each(?))"
FORGET_USES = "DELETE FROM blob_uses WHERE originator_id=?"
_UNUSED = (
    "SELECT digest, length(content) FROM blobs WHERE NOT EXISTS "
    "(SELECT 1 FROM blob_uses u WHERE u.digest=blobs.digest) LIMIT ?"
)
_POINTING = (
    "SELECT originator_id, originator_version, state FROM stored_events WHERE typeof(state)='text'"
)
_IS_USED = "SELECT 1 FROM blob_uses WHERE originator_id=? AND originator_version=? AND digest=?"


class Blobs:
    """The blobs of a group of appends, until they are written in its transaction."""

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold
        self._contents: dict[str, bytes] = {}
        self._uses: list[tuple[str, int, str]] = []

    def take(self, stream: str, version: int, state: bytes) -> str:
        """What is stored of a state that is longer than the threshold."""
        text, contents = shrunk(state, self.threshold)
        self._contents |= contents
        self._uses += [(stream, version, digest) for digest in contents]
        return text

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what was taken; nothing, in most groups."""
        if self._uses:
            connection.executemany(_KEEP, self._contents.items())
            connection.executemany(_USE, self._uses)


def shrunk(state: bytes, threshold: int) -> tuple[str, dict[str, bytes]]:
    """A state with pointers for what is long in it, and what they point to, by digest.

    >>> text, contents = shrunk(b'{"key":"a","output":"' + b"x" * 200 + b'"}', 150)
    >>> text[:36], [len(content) for content in contents.values()]
    ('{"key":"a","output":{"$":"blob","v":', [202])
    """
    text = _text_of(state)
    spans = [] if text is None or MARK in text else _longest(_values(text), len(text) - threshold)
    if text is None or not spans:
        return _whole(state)
    contents: dict[str, bytes] = {}
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        pieces += (text[at:start], _point(contents, text[start:end].encode()))
        at = end
    return "".join((*pieces, text[at:])), contents


def restored(text: str, contents: Mapping[str, bytes]) -> bytes:
    """The state again, bit for bit.

    Raises:
        KeyError: With the digest of a blob that is not there.
    """
    pieces = _POINTER.split(text)
    return b"".join(
        contents[piece] if number % 2 else piece.encode() for number, piece in enumerate(pieces)
    )


def digests_in(texts: Iterable[str]) -> list[str]:
    """The digests that stored states point to."""
    return list(dict.fromkeys(digest for text in texts for digest in _POINTER.findall(text)))


def fetched(rows: Iterable[tuple[Any, ...]]) -> dict[str, bytes]:
    """The rows of ``FETCH``, by digest."""
    return {str(digest): _bytes(content) for digest, content in rows}


def _bytes(content: object) -> bytes:
    """Some other program may have written a text."""
    return content if isinstance(content, bytes) else str(content).encode()


def as_parameter(digests: Iterable[str]) -> str:
    """Digests as the parameter of ``FETCH``."""
    return orjson.dumps(list(digests)).decode()


def missing_text(digest: str) -> bytes:
    """What is read in place of a state of which a blob is gone: no fact, so that it is told."""
    return f"the blob {digest[:12]} is missing".encode()  # an error shows so much of it


def collect_some(connection: sqlite3.Connection) -> Collected:
    """Drop some blobs that no fact uses any more, inside the caller's transaction."""
    found = connection.execute(_UNUSED, (_GROUP,)).fetchall()
    connection.executemany("DELETE FROM blobs WHERE digest=?", [(digest,) for digest, _ in found])
    return Collected(len(found), sum(int(size) for _, size in found))


def blobs_of(connection: sqlite3.Connection) -> Iterator[tuple[str, bool]]:
    """The digest of each long payload, and whether it is still the one that was kept."""
    for digest, content in connection.execute("SELECT digest, content FROM blobs"):
        yield str(digest), hashlib.sha256(_bytes(content)).hexdigest() == digest


def damages_of(connection: sqlite3.Connection) -> Iterator[str]:
    """Long payloads that are not what they were, and those that would be dropped too early."""
    for digest, is_whole in blobs_of(connection):
        if not is_whole:
            yield f"the long payload {digest[:12]} was changed"
    for stream, version, text in connection.execute(_POINTING):
        for digest in digests_in([str(text)]):
            if not connection.execute(_IS_USED, (stream, version, digest)).fetchone():
                yield (
                    f"the long payload {digest[:12]} is not noted as used by event {version} of"
                    f" {stream!r}, which points to it"
                )


_POINTED = f"substr(p.s,instr(p.s,'{MARK}')+{len(MARK)},{DIGEST_LENGTH})"
_WHOLE = (
    "SELECT CAST(b.content AS TEXT) FROM blobs b WHERE b.digest="
    f"substr(e.state,{len(MARK) + 1},{DIGEST_LENGTH})"
)
_PUT_BACK = (
    "WITH RECURSIVE p(s) AS (SELECT e.state UNION ALL SELECT "
    f"replace(p.s,'{MARK}'||b.digest||'\"}}',CAST(b.content AS TEXT)) "
    f"FROM p JOIN blobs b ON b.digest={_POINTED} WHERE instr(p.s,'{MARK}')>0) "
    f"SELECT s FROM p WHERE instr(s,'{MARK}')=0"
)
TEXTS = (
    "CREATE VIEW blob_texts AS SELECT e.rowid AS place, "
    f"CASE WHEN substr(e.state,1,{len(MARK)})='{MARK}' THEN ({_WHOLE}) ELSE ({_PUT_BACK}) END "
    "AS text FROM stored_events e WHERE typeof(e.state)='text'"
)
"""The states that have pointers, whole again, in SQL alone: any tool can read the views."""


def resolved(table: str) -> str:
    """The text of a state in SQL, whole."""
    return (
        f"CASE typeof({table}.state) WHEN 'blob' THEN CAST({table}.state AS TEXT) "
        f"ELSE (SELECT text FROM blob_texts WHERE place={table}.rowid) END"
    )


def _text_of(state: bytes) -> str | None:
    try:
        return state.decode()
    except UnicodeDecodeError:
        return None


def _whole(state: bytes) -> tuple[str, dict[str, bytes]]:
    contents: dict[str, bytes] = {}
    return _point(contents, state), contents


def _point(contents: dict[str, bytes], content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    contents[digest] = content
    return f'{MARK}{digest}"}}'


def _longest(spans: list[_Span], over: int) -> list[_Span]:
    """The longest of these, so many that the text is short enough without them, if that is so."""
    found: list[_Span] = []
    for start, end in sorted(spans, key=lambda span: span[0] - span[1]):
        if (found and over <= 0) or end - start <= _POINTER_LENGTH:
            break
        found.append((start, end))
        over -= end - start - _POINTER_LENGTH
    return found


def _values(text: str) -> list[_Span]:
    """Where the values of an object's fields lie; none of what is no object, shortly written."""
    spans: list[_Span] = []
    try:
        at, before = 0, "{"
        while text[at] == before:
            _, at = _SCAN(text, _expect(text, at + 1, '"'))
            start = _expect(text, at, ":") + 1
            _, at = _SCAN(text, start)
            spans.append((start, at))
            before = ","
        return spans if text[at:] == "}" else []
    except (ValueError, IndexError, RecursionError):
        return []


def _expect(text: str, at: int, expected: str) -> int:
    if text[at] != expected:
        raise ValueError(expected)
    return at
