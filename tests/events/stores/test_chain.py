"""The hash chain: whatever is changed in a store is found, and a healthy store never alarms."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events.stores.sqlite_trouble import FAULTS

from agnt5.events.log import Removal
from agnt5.events.stores import open_store, sqlite_chain, sqlite_schema, sqlite_writer
from agnt5.events.stores.sealed import SealedLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.events.stores.sqlite_verify import verify
from agnt5.exceptions import ConfigurationError, StoreError
from agnt5.keyring import Keyring
from agnt5.signing import HashChain, SigningKey
from agnt5.testing.stores import Driver, LogContract, check_store, make_append, make_row

KEY, FOREIGN = SigningKey(bytes(range(32))), SigningKey(bytes(range(1, 33)))
KEYRING = {"k1": bytes(range(32))}


class Encrypted(SealedLog):
    """What a test does to the store is done to the one inside."""

    def __getattr__(self, name):
        return getattr(self.inner, name)


def check(path, *, keys=(KEY.public,), expected=None):
    return verify(str(path), "rw", keys, expected)


def kinds(report):
    return {problem.kind for problem in report.problems}


@pytest.fixture(autouse=True)
def an_impatient_writer(monkeypatch):
    monkeypatch.setattr(sqlite_writer, "FIRST_DELAY_S", 0.002)
    monkeypatch.setattr(sqlite_writer, "MAX_DELAY_S", 0.01)


class CheckedAtTheEnd(Encrypted):
    """When it is closed, and so after every crash, its chain must be whole."""

    def close(self):
        super().close()
        report = check(self.inner.path)
        assert report.ok, report


class TestChainedAndEncrypted(LogContract):
    faults = FAULTS
    max_examples = 6

    @pytest.fixture
    def open_store(self, tmp_path):
        def open_store(place):
            log = SqliteLog(tmp_path / f"{place}.db", chain=HashChain(KEY, every=3))
            return CheckedAtTheEnd(log, Keyring(KEYRING), now=0)

        return open_store


class CheckedChain(SqliteLog):
    def close(self):
        was_closed = self._closed
        super().close()
        if not was_closed:
            report = check(self.path)
            assert report.ok, report


def test_random_histories_with_crashes_never_alarm(tmp_path):
    def open_store(place):
        path = tmp_path / f"{place}.db"
        return CheckedChain(path, durability="process", chain=HashChain(KEY, every=4))

    check_store(open_store, faults=FAULTS, max_examples=12)


def filled(path, chain, *, runs=4, facts=3):
    log = SqliteLog(path, chain=chain)
    driver = Driver(log)
    for n in range(runs):
        appends = [make_append(f"r{n}", 0, 1, make_row(f"r{n}"))]
        appends += [make_append(f"r{n}", after, 1) for after in range(1, facts)]
        assert driver.put(*appends) == [None] * facts
    return log


def sql(path, statement, *values):
    with closing(sqlite3.connect(path)) as writer:
        changed = writer.execute(statement, values).rowcount
        writer.commit()
    return changed


# Tampering

FOLDER = TemporaryDirectory()


@cache
def template():
    """A store with 5 runs of 3 facts; heads after the second, the fourth and the last one."""
    path = Path(FOLDER.name) / "template.db"
    filled(path, HashChain(KEY, every=5), runs=5).close()
    assert check(path).ok
    return path


def tampered(change):
    """What the check says of a copy of the store, changed; None if nothing was changed."""
    path = Path(FOLDER.name) / "copy.db"
    shutil.copyfile(template(), path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=DELETE")  # nothing beside the file is left for the next
        writer.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        before = [tuple(row) for row in writer.execute("SELECT * FROM stored_events")]
        with suppress(sqlite3.IntegrityError):  # there is such a version of such a stream
            change(writer)
        writer.commit()
        after = [tuple(row) for row in writer.execute("SELECT * FROM stored_events")]
    return None if before == after else check(path)


COLUMNS = ("originator_id", "originator_version", "topic", "state", "event_id", "recorded_at")


@given(
    rowid=st.integers(1, 15),
    column=st.sampled_from([*COLUMNS, "step", "hash", "metadata"]),
    place=st.integers(0, 63),
    bit=st.integers(0, 7),
)
def test_any_bit_that_is_changed_anywhere_in_a_fact_is_found(rowid, column, place, bit):
    def change(writer):
        select = f"SELECT {column}, typeof({column}) FROM stored_events WHERE rowid=?"
        value, kind = writer.execute(select, (rowid,)).fetchone()
        if kind == "integer":
            value ^= 1 << (place % 50)
        elif kind == "null":
            value = ":a#0"
        else:
            raw = bytearray(value if kind == "blob" else value.encode())
            raw[place % len(raw)] ^= 1 << bit
            # As bytes that may be no text any more.
            value = bytes(raw)
        cast = "CAST(? AS TEXT)" if kind in {"text", "null"} else "?"
        writer.execute(f"UPDATE stored_events SET {column}={cast} WHERE rowid=?", (value, rowid))

    report = tampered(change)
    assert report is None or not report.ok


@given(first=st.integers(1, 15), second=st.integers(1, 15))
def test_what_two_facts_say_cannot_be_swapped(first, second):
    def change(writer):
        both = "SELECT rowid, state FROM stored_events WHERE rowid IN (?,?)"
        states = dict(writer.execute(both, (first, second)))
        for rowid, other in ((first, second), (second, first)):
            update = "UPDATE stored_events SET state=? WHERE rowid=?"
            writer.execute(update, (states[other], rowid))

    report = tampered(change)
    assert report is None or not report.ok


@given(rowids=st.sets(st.integers(1, 15), min_size=1))
def test_whichever_facts_are_deleted_it_is_found(rowids):
    """From the middle, from the end, and whole runs: the signed heads name them."""
    marks = ",".join(map(str, rowids))
    report = tampered(lambda w: w.execute(f"DELETE FROM stored_events WHERE rowid IN ({marks})"))
    assert not report.ok
    assert kinds(report) <= {"missing", "truncated"}


def rewritten(writer, stream, *, upto=None):
    """Forge a stream: another last fact, and hashes that fit. The attacker knows the code."""
    digest = sqlite_chain.beginning(stream)
    columns = ",".join(sqlite_schema.EVENT_COLUMNS)
    rows = writer.execute(
        f"SELECT rowid, {columns} FROM stored_events WHERE originator_id=? ORDER BY 3", (stream,)
    ).fetchall()
    for n, (rowid, *fact) in enumerate(rows):
        if n == len(rows) - 1:
            fact[3] = b'{"forged":true}'
        digest = sqlite_chain.hash_of_row(digest, fact)
        update = "UPDATE stored_events SET state=?, hash=? WHERE rowid=?"
        writer.execute(update, (fact[3], digest, rowid))


def test_hashes_that_were_made_to_fit_are_found_by_the_signed_heads():
    report = tampered(lambda writer: rewritten(writer, "r2"))
    assert [(p.kind, p.stream, p.version) for p in report.problems] == [("changed", "r2", 3)]
    # Without heads it is not, and the page about it says so.
    path = Path(FOLDER.name) / "unsigned.db"
    filled(path, HashChain()).close()
    with closing(sqlite3.connect(path)) as writer:
        rewritten(writer, "r2")
        writer.commit()
    assert check(path).ok
    path.unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM chain_heads WHERE seq=2", "some are missing"),
        ("UPDATE chain_heads SET signature=zeroblob(64) WHERE seq=1", "signature"),
        ("UPDATE chain_heads SET body=CAST(replace(body,'r1','r9') AS BLOB)", "signature"),
        ("UPDATE chain_heads SET position=position+1 WHERE seq=2", "columns"),
        ("UPDATE chain_heads SET body=x'7b7d' WHERE seq=2", "nothing that is known"),
        ("UPDATE chain_begun SET position=50", "began elsewhere"),
        ("UPDATE chain_heads SET signer='x' WHERE seq=1", "signature"),
    ],
)
def test_a_head_that_was_tampered_with_is_found(tmp_path, change, said):
    path = tmp_path / "copy.db"
    shutil.copyfile(template(), path)
    assert sql(path, change) >= 1
    report = check(path)
    assert not report.ok
    assert any(said in problem.message for problem in report.problems), report.problems


def test_heads_of_another_key_are_not_believed(tmp_path):
    assert check(template()).trusted_heads == 3
    assert not check(template(), keys=(FOREIGN.public,)).ok
    both = check(template(), keys=(FOREIGN.public, KEY.public))
    assert (both.ok, both.trusted_heads) == (True, 3)
    # Without a key they are only held to each other.
    without = check(template(), keys=())
    assert (without.ok, without.trusted_heads, without.heads) == (True, 0, 3)


def test_the_last_heads_cut_off_together_with_the_facts_are_found_by_one_noted_elsewhere(tmp_path):
    noted = check(template()).last_head
    path = tmp_path / "copy.db"
    shutil.copyfile(template(), path)
    sql(path, "DELETE FROM stored_events WHERE rowid>12")
    sql(path, "DELETE FROM chain_heads WHERE seq=3")
    assert check(path).ok  # that is the limit
    report = check(path, expected=noted)
    assert [(p.kind, p.version) for p in report.problems] == [("head", 3)]
    assert check(template(), expected=noted).ok
    assert not check(template(), expected=(3, "0" * 64)).ok


# What is there already, and what goes on


def test_the_chain_of_a_store_that_is_there_begins_now_and_says_so(tmp_path):
    path = tmp_path / "log.db"
    log = filled(path, None)
    log.close()
    assert check(path) == replace(check(path), begun_at=None)
    assert not check(path).ok
    log = SqliteLog(path, chain=HashChain(KEY))
    assert Driver(log).put(make_append("r0", 3, 1), make_append("new", 0, 2, make_row("new"))) == [
        None,
        None,
    ]
    log.close()
    report = check(path)
    assert (report.ok, report.facts, report.before_chain) == (True, 15, 12)
    assert report.begun_at > 1_600_000_000_000_000
    # Where a younger fact follows, the older ones are covered as they were then.
    sql(path, "UPDATE stored_events SET topic='Other' WHERE originator_id='r0' AND rowid=2")
    assert [(p.kind, p.stream) for p in check(path).problems] == [("changed", "r0")]
    sql(path, "UPDATE stored_events SET topic='Other' WHERE originator_id='r1'")
    assert {p.stream for p in check(path).problems} == {"r0"}


def test_a_chain_that_was_begun_goes_on_whoever_opens_the_store(tmp_path):
    path = tmp_path / "log.db"
    filled(path, HashChain(KEY, every=100)).close()
    log = SqliteLog(path)
    assert Driver(log).put(make_append("r0", 3, 5)) == [None]
    with pytest.raises(StoreError, match="signing key"):
        log.sign_head()
    log.close()
    report = check(path)
    assert (report.ok, report.unsigned, report.heads) == (True, 5, 1)
    # The next one who has the key signs what was not signed.
    log = SqliteLog(path, chain=HashChain(KEY))
    head = log.sign_head()
    assert head.seq == 2
    assert log.sign_head() == head
    assert log.verify_chain(expected=(2, head.hash)).unsigned == 0
    log.close()
    # What is taken out of a chain by hand is missed.
    sql(path, "UPDATE stored_events SET hash=NULL WHERE originator_id='r0'")
    assert kinds(check(path)) == {"unchained"}


def test_a_store_without_a_chain_has_none_to_sign(tmp_path):
    log = filled(tmp_path / "log.db", None)
    with pytest.raises(StoreError, match="no hash chain"):
        log.sign_head()
    log.close()
    with pytest.raises(ConfigurationError, match="forgets"):
        open_store("memory://", chain=HashChain())


# Runs that are deleted on purpose


def test_a_run_that_was_deleted_on_purpose_is_told_by_a_head(tmp_path):
    path = tmp_path / "log.db"
    log = filled(path, HashChain(KEY, every=5))
    assert log.forget([Removal("r1", 3), Removal("r2", 9)]) == ["r1"]
    assert log.verify_chain().ok
    # The same id may begin again.
    assert log.read("r1") == []
    log.close()
    log = SqliteLog(path, chain=HashChain(KEY))
    assert Driver(log).put(make_append("r1", 0, 2, make_row("r1"))) == [None]
    log.close()
    assert check(path).ok
    sql(path, "DELETE FROM stored_events WHERE originator_id='r1'")
    assert [(p.kind, p.stream) for p in check(path).problems] == [("missing", "r1")]
    sql(path, "DELETE FROM stored_events WHERE originator_id='r0'")
    assert {p.stream for p in check(path).problems} == {"r0", "r1"}


def test_without_the_key_nothing_can_be_deleted_that_heads_name(tmp_path):
    path = tmp_path / "log.db"
    filled(path, HashChain(KEY)).close()
    log = SqliteLog(path)
    with pytest.raises(StoreError, match="signing key"):
        log.forget([Removal("r1", 3)])
    assert len(log.read("r1")) == 3
    log.close()
    assert check(path).ok
    unsigned = filled(tmp_path / "unsigned.db", HashChain())
    assert unsigned.forget([Removal("r1", 3)]) == ["r1"]
    assert unsigned.verify_chain().ok
    unsigned.close()
