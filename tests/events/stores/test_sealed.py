"""An encrypted log keeps the contract, and no plaintext leaves it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events.stores.sqlite_trouble import FAULTS

from agnt5.events.index import KeyBinding
from agnt5.events.log import Append, Removal
from agnt5.events.sealing import opened, shredded_at
from agnt5.events.stores import encrypted, sqlite_writer
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.stores.sealed import SealedLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.exceptions import StoreCorruptError, StoreInUseError
from agnt5.keyring import Keyring
from agnt5.privacy_errors import EncryptionKeyError, ShreddedError
from agnt5.testing.stores import Driver, LogContract, make_append, make_facts, make_row

KEYS = {"k1": bytes(range(32))}


class Encrypted(SealedLog):
    """What a test does to the store is done to the one inside."""

    def __getattr__(self, name):
        return getattr(self.inner, name)


class TestEncryptedMemory(LogContract):
    max_examples = 15

    @pytest.fixture
    def open_store(self):
        logs = {}

        def open_store(place):
            log = logs.setdefault(place, None) or MemoryLog()
            if logs[place] is not None and log._sink is not None:
                raise StoreInUseError(f"{place} is open.")
            logs[place] = log
            return Encrypted(log, Keyring(KEYS), now=0)

        return open_store


class TestEncryptedFile(LogContract):
    faults = FAULTS
    max_examples = 6

    @pytest.fixture(autouse=True)
    def an_impatient_writer(self, monkeypatch):
        monkeypatch.setattr(sqlite_writer, "FIRST_DELAY_S", 0.002)
        monkeypatch.setattr(sqlite_writer, "MAX_DELAY_S", 0.01)

    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda place: Encrypted(SqliteLog(tmp_path / f"{place}.db"), Keyring(KEYS), now=0)


# Keys

OTHER = {"k2": bytes(range(32, 64))}
MARKER = b"WHAT NOBODY MAY READ"


def of(run_id, user_id=None):
    return replace(make_row(run_id), user_id=user_id)


def text(number):
    return orjson.dumps({"input": f"{MARKER.decode()} {number}"})


def opened_with(path, keys, **given):
    return Encrypted(SqliteLog(path, **given), Keyring(keys), now=5)


def files_of(path):
    """All bytes that lie on the disk for a store."""
    names = (path.with_name(path.name + end) for end in ("", "-wal", "-shm"))
    return b"".join(name.read_bytes() for name in names if name.exists())


def put(log, *appends):
    driver = Driver(log)
    assert driver.put(*appends) == [None] * len(appends)


def test_no_plaintext_lies_in_the_file(tmp_path):
    log = opened_with(path := tmp_path / "log.db", KEYS)
    facts = make_facts(1, topic="RunQueued", state=text(1))
    put(log, make_append("r1", 0, facts, of("r1", "anna")))
    assert log.read("r1")[0].state == text(1)
    assert log.last("r1").state == text(1)
    assert MARKER not in files_of(path)
    log.close()
    assert MARKER not in files_of(path)


def test_another_key_and_a_missing_one_are_refused_before_anything_is_done(tmp_path):
    path = tmp_path / "log.db"
    log = opened_with(path, KEYS)
    put(log, make_append("r1", 0, 1, of("r1", "anna")))
    log.close()
    before = path.read_bytes()
    for keys in (OTHER, {"k1": OTHER["k2"]}):
        inner = SqliteLog(path)
        with pytest.raises(EncryptionKeyError, match="k1") as caught:
            Encrypted(inner, Keyring(keys), now=6)
        assert caught.value.key_id == "k1"
        with pytest.raises(EncryptionKeyError, match="AGNT5_ENCRYPTION_KEYS"):
            encrypted(inner, None, 6)
        inner.close()
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*) FROM data_keys").fetchone() == (2,)
    assert len(path.read_bytes()) == len(before)
    # Who only looks may do so without keys, as far as it is in clear.
    look = SqliteLog(path, readonly=True)
    assert encrypted(look, None, 6) is look
    assert look.run_row("r1") == of("r1", "anna")
    look.close()
    # And somebody who looks with other keys is told at the first payload, with the run.
    look = SealedLog(SqliteLog(path, readonly=True), Keyring(OTHER), now=6, readonly=True)
    with pytest.raises(EncryptionKeyError, match="run 'r1'.*'k1'") as caught:
        look.read("r1")
    assert (caught.value.run_id, caught.value.key_id) == ("r1", "k1")
    look.close()


def test_a_store_without_the_table_of_its_keys_says_so(tmp_path):
    path = tmp_path / "log.db"
    log = opened_with(path, KEYS)
    put(log, make_append("r1", 0, 1, of("r1", "anna")))
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("DELETE FROM data_keys")
        writer.commit()
    log.close()
    log = opened_with(path, KEYS)
    with pytest.raises(EncryptionKeyError, match="not in this store"):
        log.read("r1")
    log.close()


CHANGES = (
    "originator_id='r3'",
    "originator_version=9",
    "topic='RunStarted'",
    "recorded_at=recorded_at+1",
    "event_id='e'",
    "step=':a#0'",
    "state=(SELECT state FROM stored_events WHERE originator_id='r2')",
    """state=CAST(replace(state,'"component":"a"','"component":"b"') AS BLOB)""",
)


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_moved_or_changed_does_not_decrypt(tmp_path, change):
    log = opened_with(path := tmp_path / "log.db", KEYS)
    appends: list[Append] = []
    for run_id in ("r1", "r2"):
        facts = make_facts(1, topic="RunQueued", state=b'{"component":"a","input":1}')
        appends.append(make_append(run_id, 0, facts, of(run_id)))
    put(log, *appends)
    log.close()
    with closing(sqlite3.connect(path)) as writer:
        sql = f"UPDATE stored_events SET {change} WHERE originator_id='r1'"
        assert writer.execute(sql).rowcount == 1
        writer.commit()
    log = opened_with(path, KEYS)
    with pytest.raises(StoreCorruptError, match="does not decrypt"):
        log.read_many(["r1", "r3"])
    assert len(log.read("r2")) == 1
    log.close()


def test_the_digest_of_an_input_is_no_help_to_guess_it(tmp_path):
    log = opened_with(path := tmp_path / "log.db", KEYS)
    digest = "0123456789abcdef" * 4
    bindings = [KeyBinding(f"k{n}", "r1", digest) for n in range(2)]
    put(log, make_append("r1", 0, 1, of("r1", "anna"), *bindings))
    assert [log.key_binding(f"k{n}").input_digest for n in range(2)] == [digest, digest]
    with closing(sqlite3.connect(path)) as reader:
        lie = [row[0] for row in reader.execute("SELECT input_digest FROM idempotency_keys")]
    assert len(set(lie)) == 2
    assert digest.encode() not in files_of(path)
    log.close()


# Rotation

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abc"), st.sampled_from([None, "anna", "bob"])),
        st.tuples(st.just("rotate"), st.integers(0, 3)),
        st.tuples(st.just("reopen")),
        st.tuples(st.just("shred"), st.sampled_from(["anna", "bob"])),
    ),
    max_size=14,
)


@given(steps=STEPS)
def test_whatever_is_rotated_and_shredded_in_between_the_rest_reads_as_it_was_written(steps):
    inner, masters = MemoryLog(), {"m0": bytes(32)}
    log = Encrypted(inner, Keyring(masters), now=1)
    written, owners, gone = defaultdict(list), {}, set()
    Driver(log)
    for n, step in enumerate(steps):
        match step:
            case ("put", place, user):
                # A run has one subject, and nothing is added once it was shredded.
                run_id = f"{place}-{user}"
                if run_id not in gone:
                    facts = make_facts(1, topic="RunQueued", state=text(n))
                    after, owners[run_id] = len(written[run_id]), user
                    row = [of(run_id, user)] if not after else []
                    append = make_append(run_id, after, facts, *row)
                    log.append([append])
                    assert append.error is None
                    written[run_id].append(text(n))
            case ("rotate", which):
                name = f"m{which}"
                masters = {name: bytes([which] * 32), **masters}
                log.close()
                log = Encrypted(inner, Keyring(masters, newest=name), now=n)
                Driver(log)
                log.rotate(n)
                assert {key.master for key in inner.vault.masters()} == {name}
                masters = {name: masters[name]}  # the others are needed no more
            case ("reopen",):
                log.close()
                log = Encrypted(inner, Keyring(masters), now=n)
                Driver(log)
            case ("shred", user):
                names = log.retire(user, n)
                log.wait_for(names)
                assert log.destroy(names, 1_000_000)
                gone |= {run_id for run_id in written if owners[run_id] == user}
        for run_id, states in written.items():
            facts = log.read(run_id)
            if run_id in gone:
                assert {shredded_at(fact.state) for fact in facts} == {1_000_000}
            else:
                assert [fact.state for fact in facts] == states


def test_rotation_leaves_every_fact_byte_for_byte_and_drops_the_old_key(tmp_path):
    path = tmp_path / "log.db"
    log = opened_with(path, KEYS)
    users = [f"user{n}" for n in range(1100)]
    put(log, *(make_append(f"r-{user}", 0, 1, of(f"r-{user}", user)) for user in users))
    before = log.inner.read_many([f"r-{user}" for user in users])
    log.close()
    log = opened_with(path, {**OTHER, **KEYS}, durability="process")
    assert log.rotate(9) == 1101
    assert log.rotate(9) == 0
    assert log.inner.read_many(list(before)) == before
    log.close()
    log = opened_with(path, OTHER)
    assert len(log.read("r-user7")) == 1
    put(log, make_append("new", 0, 1, of("new")))
    log.close()


# Shredding


def test_of_a_shredded_key_no_byte_is_left_on_the_disk(tmp_path):
    path = tmp_path / "log.db"
    log = opened_with(path, KEYS)
    users = [f"user{n}" for n in range(300)]
    put(log, *(make_append(f"r-{user}", 0, 1, of(f"r-{user}", user)) for user in users))
    log.close()
    # Rotated once, so that rows were written twice, and their pages are full.
    log = opened_with(path, {**OTHER, **KEYS})
    older = [log.vault.keys_of(user)[0].wrapped for user in users[::7]]
    log.rotate(8)
    assert any(wrapped in files_of(path) for wrapped in older)
    for user, old in zip(users[::7], older, strict=True):
        wrapped = log.vault.keys_of(user)[0].wrapped
        assert wrapped in files_of(path)
        assert log.destroy(log.retire(user, 9), 10)
        assert wrapped not in files_of(path)
        assert old not in files_of(path)
        assert shredded_at(log.read(f"r-{user}")[0].state) == 10
    assert len(log.read("r-user1")[0].state) > 0
    log.close()


def test_while_somebody_reads_a_trace_may_be_left_until_the_store_is_opened_again(tmp_path):
    path = tmp_path / "log.db"
    log = opened_with(path, KEYS)
    put(log, make_append("r1", 0, 1, of("r1", "anna")))
    wrapped = log.vault.keys_of("anna")[0].wrapped
    with log.inner.view() as view:
        assert len(list(view.facts())) == 1
        assert not log.destroy(log.retire("anna", 9), 10)
    assert wrapped in files_of(path)
    assert shredded_at(log.read("r1")[0].state) == 10
    log.close()
    log = opened_with(path, KEYS)
    assert wrapped not in files_of(path)
    with closing(sqlite3.connect(path)) as reader:
        (left,) = reader.execute("SELECT count(*) FROM data_keys WHERE is_scrubbed=0").fetchone()
    assert left == 1  # the general one, which nobody has shredded
    log.close()


def test_nothing_is_added_to_what_was_shredded_and_its_key_says_so():
    log = Encrypted(MemoryLog(), Keyring(KEYS), now=1)
    driver = Driver(log)
    binding = KeyBinding("k", "r1", "0123")
    assert driver.put(make_append("r1", 0, 1, of("r1", "anna"), binding)) == [None]
    log.destroy(log.retire("anna", 2), 3)
    (error,) = driver.put(make_append("r1", 1, 1))
    assert isinstance(error, ShreddedError)
    assert log.key_binding("k") == KeyBinding("k", "r1", "shredded")
    assert driver.put(make_append("r2", 0, 1, of("r2", "anna"))) == [None]
    assert len(log.vault.keys_of("anna")) == 2


def test_a_service_that_is_away_fails_the_appends_of_new_subjects_only(tmp_path):
    class Service:
        newest = "arn.1"
        is_away = False

        def wrap(self, data_key, context):
            if self.is_away:
                raise ConnectionError
            return data_key[::-1]

        def unwrap(self, key_id, wrapped, context):
            return wrapped[::-1]

    service = Service()
    log = Encrypted(SqliteLog(tmp_path / "log.db"), Keyring(service), now=1)
    driver = Driver(log)
    assert driver.put(make_append("r1", 0, 1, of("r1", "anna"))) == [None]
    service.is_away = True
    appends = [
        make_append("r1", 1, 1),
        make_append("r2", 0, 1, of("r2", "bob")),
        make_append("r3", 0, 1, of("r3", "anna")),
    ]
    errors = driver.put(*appends)
    assert [type(error) for error in errors] == [type(None), EncryptionKeyError, type(None)]
    service.is_away = False
    assert driver.put(make_append("r2", 0, 1, of("r2", "bob"))) == [None]
    assert len(log.read("r2")) == 1
    log.close()


def test_a_run_that_begins_anew_after_it_was_forgotten_has_no_old_key():
    """Its second append comes before its first one is settled, and must not take what was known."""
    log = SealedLog(MemoryLog(), Keyring(KEYS), now=0)
    d = Driver(log)
    assert d.put(make_append("r", 0, 1, of("r", "anna"))) == [None]
    assert log.forget([Removal("r", 1)]) == ["r"]
    assert d.put(make_append("r", 0, 1, of("r", "bob")), make_append("r", 1, 1)) == [None, None]
    bobs = log.retire("bob", 1)
    assert [opened(fact.state).key_name for fact in log.inner.read("r")] == bobs * 2
