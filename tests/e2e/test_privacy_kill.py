"""Killed while it rotates keys or shreds: what was begun is finished, and none is lost."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from agnt5.events.sealing import shredded_at
from agnt5.events.stores.sealed import SealedLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.keyring import Keyring
from agnt5.signing import HashChain
from agnt5.testing.stores import Driver, make_append, make_row

OLD, NEW = {"old": bytes(32)}, {"new": bytes(range(32))}
USERS = [f"user{n}" for n in range(40)]

# Dies at the statement of that number on the write connection, just before or just after it.
PROGRAM = """
import os, signal, sys
from agnt5.events.stores import data_keys
from agnt5.events.stores.sealed import SealedLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.keyring import Keyring

path, task, number, moment = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
data_keys._BATCH = 10
inner = SqliteLog(path)
log = SealedLog(inner, Keyring({"new": bytes(range(32)), "old": bytes(32)}), now=2)

class Deadly:
    def __init__(self, connection):
        self.connection, self.left = connection, number

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, *given):
        self.left -= 1
        if self.left == 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = self.connection.execute(*given)
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

inner._committer._connection = Deadly(inner._committer.connection)
if task == "rotate":
    log.rotate(3)
else:
    log.destroy(log.retire("user7", 3), 4)
print("done", flush=True)
"""


def filled(path):
    """A store with a run for each user; the wrapped key of one of them."""
    inner = SqliteLog(path, durability="process", chain=HashChain())
    log = SealedLog(inner, Keyring(OLD), now=1)
    appends = []
    for user in USERS:
        row = make_row(f"r-{user}")
        appends.append(make_append(row.run_id, 0, 1, _of(row, user)))
    assert set(Driver(log).put(*appends)) == {None}
    (key,) = inner.vault.keys_of("user7")
    log.close()
    return key.wrapped


def _of(row, user):
    values = {name: getattr(row, name) for name in type(row).__slots__}
    return type(row)(**{**values, "user_id": user})


def die(path, task, number, moment):
    arguments = [sys.executable, "-c", PROGRAM, str(path), task, str(number), moment]
    died = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert died.stdout == ""


@pytest.mark.parametrize(("number", "moment"), [(3, "after"), (12, "before"), (30, "after")])
def test_a_rotation_that_was_killed_is_gone_on_with(tmp_path, number, moment):
    path = tmp_path / "log.db"
    filled(path)
    die(path, "rotate", number, moment)
    log = SealedLog(SqliteLog(path), Keyring({**NEW, **OLD}), now=5)
    assert all(shredded_at(log.read(f"r-{user}")[0].state) is None for user in USERS)
    assert 0 < log.rotate(6) <= len(USERS) + 1
    log.close()
    log = SealedLog(SqliteLog(path), Keyring(NEW), now=7)
    assert [log.read(f"r-{user}")[0].state for user in USERS] == [b'{"n":0}'] * len(USERS)
    assert log.inner.verify_chain().ok
    log.close()


# BEGIN, the fence, the pragma, the two updates, COMMIT; the look, the checkpoint, and that it is
# done: in each gap.
@pytest.mark.parametrize(
    ("number", "moment"),
    [(4, "after"), (6, "before"), (6, "after"), (8, "before"), (8, "after"), (11, "after")],
)
def test_a_shredding_that_was_killed_has_happened_or_has_not_and_then_leaves_no_trace(
    tmp_path, number, moment
):
    path = tmp_path / "log.db"
    wrapped = filled(path)
    die(path, "shred", number, moment)
    log = SealedLog(SqliteLog(path), Keyring({**NEW, **OLD}), now=5)
    with closing(sqlite3.connect(path)) as reader:
        sql = "SELECT shredded_at IS NOT NULL FROM data_keys WHERE subject='user7'"
        (has_happened,) = reader.execute(sql).fetchone()
    assert bool(has_happened) == (number > 6 or (number, moment) == (6, "after"))
    files = [path.with_name(path.name + end) for end in ("", "-wal")]
    left = b"".join(file.read_bytes() for file in files if file.exists())
    assert (wrapped in left) != bool(has_happened)
    state = log.read("r-user7")[0].state
    assert (shredded_at(state) == 4) if has_happened else state == b'{"n":0}'
    # Once more, and it is certain.
    assert log.destroy(log.retire("user7", 6), 6)
    left = b"".join(file.read_bytes() for file in files if file.exists())
    assert wrapped not in left
    assert log.read("r-user8")[0].state == b'{"n":0}'
    assert log.inner.verify_chain().ok
    log.close()
