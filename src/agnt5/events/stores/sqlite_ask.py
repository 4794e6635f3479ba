"""Questions in SQL that somebody types: answered by a file that can only be read, within limits.

The file is opened read-only; besides, SQLite asks before everything that a statement would do, and
is allowed to read and to compute, nothing else. Time, rows and sizes have limits, as whoever asks
may not know what a join costs.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from agnt5.events.query import Cell, SqlAnswer
from agnt5.events.stores.sqlite_errors import code_of, translate
from agnt5.events.stores.sqlite_schema import connect
from agnt5.exceptions import InvalidInputError

_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_PRAGMAS: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo"}
)
"""What shells ask in order to describe tables. None of them changes anything."""
_NO_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer"})
_STEPS: Final = 10_000
"""Of SQLite's machine, between two looks at the clock: under a millisecond."""
_LONGEST_VALUE: Final = 64 * 1024 * 1024
_LONGEST_STATEMENT: Final = 100_000


def ask_sqlite(
    path: str, mode: str, sql: str, parameters: Sequence[Cell], *, limit: int, timeout: float
) -> SqlAnswer:
    """Answer one statement.

    Args:
        path: The file.
        mode: How SQLite opens it, read-only.
        sql: A select.
        parameters: What its question marks stand for.
        limit: Rows at most.
        timeout: Seconds at most.

    Raises:
        InvalidInputError: When it is wrong, would do more than read, or takes too long.
        StoreError: When the file cannot be read.
        KeyboardInterrupt: When Ctrl-C ends it.
    """
    deadline = time.monotonic() + timeout
    try:
        connection = connect(path, mode=mode)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _LONGEST_STATEMENT)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_authorizer(_may)
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        return _answer(connection, sql, parameters, limit)
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        if _is_interrupt(error) and time.monotonic() <= deadline:
            # Ctrl-C came while it looked at the clock, of which sqlite3 tells no more than this.
            raise KeyboardInterrupt from error
        raise _explained(error, path, timeout) from error
    finally:
        connection.close()


def _may(
    action: int, first: str | None, second: str | None, _database: str | None, _view: str | None
) -> int:
    is_allowed = action in _ALLOWED
    if action == sqlite3.SQLITE_FUNCTION:
        is_allowed = second not in _NO_FUNCTIONS
    elif action == sqlite3.SQLITE_PRAGMA:
        is_allowed = first in _PRAGMAS
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY


def _answer(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[Cell], limit: int
) -> SqlAnswer:
    cursor = connection.execute(sql, parameters)
    if cursor.description is None:
        raise InvalidInputError("this is no question: write one SELECT")
    rows = cursor.fetchmany(limit + 1)
    columns = tuple(str(column[0]) for column in cursor.description)
    return SqlAnswer(columns, rows[:limit], len(rows) > limit)


def _is_interrupt(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and code_of(error) == sqlite3.SQLITE_INTERRUPT


def _explained(error: Exception, path: str, timeout: float) -> Exception:
    code = code_of(error) if isinstance(error, sqlite3.Error) else sqlite3.SQLITE_ERROR
    if _is_interrupt(error):
        return InvalidInputError(
            f"the question took more than {timeout:g} s: ask for less, for a run or a time that"
            " an index finds, or allow more time"
        )
    if code == sqlite3.SQLITE_AUTH:
        return InvalidInputError(f"a question may read and compute, nothing else: {error}")
    if code in {0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE}:
        hint = "; docs/reference/sql-views.md has the views" if "no such" in str(error) else ""
        return InvalidInputError(f"SQLite cannot answer this: {error}{hint}")
    assert isinstance(error, sqlite3.Error)  # noqa: S101 - other errors have the code of a wrong one
    return translate(error, path)
