"""A sound store is called sound, and whatever is changed in one behind its back is found."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.api import healthy_store
from tests.events.run import strategies as s
from tests.events.run.spec import QUEUED, RUN, STARTED, SUSPENDED, timed
from tests.laws.crashing_log import disk_of

from agnt5 import (
    AsyncClient,
    EncryptionKeyError,
    EntityRegistry,
    FunctionRegistry,
    Keyring,
    RunNotFoundError,
    Runtime,
    WorkflowRegistry,
    function,
    rebuild_index,
    verify_store,
)
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.stores.memory import MemoryLog
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.exceptions import StoreCorruptError
from agnt5.store_checks import all_checks
from agnt5.testing.stores.contract.rebuilt import _Ledger, scripts
from agnt5.testing.stores.driving import Driver
from agnt5.verification import ADVICE, Check, Finding, verify_view


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A file that is copied for each damage."""
    path = tmp_path_factory.mktemp("healthy") / "store.db"
    for registry in (FunctionRegistry, WorkflowRegistry, EntityRegistry):
        registry.clear()
    healthy_store.install()
    asyncio.run(healthy_store.fill(f"sqlite:///{path}"))
    return path


def looked_at(path, run_ids=None):
    return verify_store(f"sqlite:///{path}", run_ids)


def test_a_sound_store_is_called_sound(healthy):
    found = looked_at(healthy)
    assert found.findings == []
    assert found.ok
    assert found.runs == 17
    assert found.others == 1
    assert found.keys == 12
    assert found.events > 150
    assert str(found).startswith("sound: 17 runs")
    assert found.as_json()["ok"] is True


def test_some_runs_are_looked_at(healthy):
    with closing(sqlite3.connect(healthy)) as reader:
        run_ids = [row[0] for row in reader.execute("SELECT run_id FROM runs LIMIT 3")]
    assert looked_at(healthy, run_ids).runs == 3
    assert looked_at(healthy, run_ids[0]).runs == 1
    with pytest.raises(RunNotFoundError):
        looked_at(healthy, "nobody")


# Damages: each changes one thing, and says as what it must be found.


def pick(draw, connection, sql):
    rows = connection.execute(sql).fetchall()
    return draw(st.sampled_from(rows))


EVENTS = (
    "SELECT rowid, originator_id, originator_version, topic, state, event_id FROM stored_events"
)
NOT_LAST = (
    " e WHERE originator_version < (SELECT max(originator_version) FROM stored_events o"
    " WHERE o.originator_id=e.originator_id)"
)


def delete_an_event(draw, connection):
    """Of an entity's last one nothing else tells; of a run's last one its row does."""
    row = pick(draw, connection, EVENTS + NOT_LAST)
    connection.execute("DELETE FROM stored_events WHERE rowid=?", row[:1])


def delete_the_last_event_of_a_run(draw, connection):
    (run_id,) = pick(draw, connection, "SELECT run_id FROM runs")
    sql = (
        "DELETE FROM stored_events WHERE originator_id=? AND originator_version="
        "(SELECT max(originator_version) FROM stored_events WHERE originator_id=?)"
    )
    connection.execute(sql, (run_id, run_id))


def delete_a_whole_run(draw, connection):
    (run_id,) = pick(draw, connection, "SELECT run_id FROM runs")
    connection.execute("DELETE FROM stored_events WHERE originator_id=?", (run_id,))


def append_a_copy(draw, connection):
    row = pick(draw, connection, EVENTS)
    sql = (
        "INSERT INTO stored_events (originator_id, originator_version, topic, state, event_id,"
        " recorded_at, step) SELECT originator_id, (SELECT max(originator_version) FROM"
        " stored_events WHERE originator_id=e.originator_id)+1, topic, state, event_id,"
        " recorded_at, step FROM stored_events e WHERE rowid=?"
    )
    connection.execute(sql, row[:1])


def exchange_two_events_of_a_run(draw, connection):
    first = pick(draw, connection, EVENTS + NOT_LAST + " AND originator_id NOT LIKE '$%'")
    sql = f"{EVENTS} WHERE originator_id='{first[1]}' AND topic<>'{first[3]}'"
    second = pick(draw, connection, sql)
    for to, of in ((first, second), (second, first)):
        sql = "UPDATE stored_events SET topic=?, state=? WHERE rowid=?"
        connection.execute(sql, (of[3], of[4], to[0]))


def exchange_the_positions_of_two_events(draw, connection):
    first = pick(draw, connection, EVENTS + NOT_LAST)
    sql = f"{EVENTS} WHERE originator_id='{first[1]}' AND rowid<>{first[0]}"
    second = pick(draw, connection, sql)
    for of, to in ((first[0], -1), (second[0], first[0]), (-1, second[0])):
        connection.execute("UPDATE stored_events SET rowid=? WHERE rowid=?", (to, of))


def give_an_event_to_another_stream(draw, connection):
    row = pick(draw, connection, EVENTS)
    to = draw(st.sampled_from(["zzz", "$entity/Cart/c2", "$schedule/s", "$other/x"]))
    if to != "$other/x":
        version = 1 if row[1] != "$entity/Cart/c1" or to != "$entity/Cart/c2" else 2
    else:
        version = 2
    sql = "UPDATE stored_events SET originator_id=?, originator_version=? WHERE rowid=?"
    connection.execute(sql, (to, version, row[0]))


def change_a_topic(draw, connection):
    row = pick(draw, connection, EVENTS)
    topics = ["RunQueued", "RunStarted", "StepFailed", "ScheduleArmed", "EntityCallFailed", "No"]
    topic = draw(st.sampled_from([each for each in topics if each != row[3]]))
    connection.execute("UPDATE stored_events SET topic=? WHERE rowid=?", (topic, row[0]))


def spoil_a_state(draw, connection):
    row = pick(draw, connection, EVENTS)
    spoilt = draw(st.sampled_from([row[4][:-1], b"", b"null", b"\xff\x00", b"[]", b'{"x":1}']))
    connection.execute("UPDATE stored_events SET state=? WHERE rowid=?", (spoilt, row[0]))


def change_a_version(draw, connection):
    row = pick(draw, connection, EVENTS)
    version = draw(st.sampled_from([0, -3, 10_000]))
    sql = "UPDATE stored_events SET originator_version=? WHERE rowid=?"
    connection.execute(sql, (version, row[0]))


def copy_an_event_id(draw, connection):
    first, second = pick(draw, connection, EVENTS), pick(draw, connection, EVENTS + NOT_LAST)
    if first[5] == second[5]:
        first = (*first[:5], "")
        connection.execute("UPDATE stored_events SET event_id='' WHERE rowid<3")
        return
    connection.execute("UPDATE stored_events SET event_id=? WHERE rowid=?", (first[5], second[0]))


def change_a_step(draw, connection):
    row = pick(draw, connection, EVENTS)
    connection.execute("UPDATE stored_events SET step='other' WHERE rowid=?", row[:1])


ROW_CELLS = {
    "component": "other",
    "kind": "other",
    "status": "other",
    "parked": 7,
    "wake_at": 12,
    "created_at": 12,
    "started_at": 12,
    "finished_at": 12,
    "version_label": "other",
    "session_id": "other",
    "user_id": "other",
    "parent_run_id": "other",
    "key_scope": "other",
    "queue": "other",
    "priority": 12,
}


def change_a_cell_of_a_row(draw, connection):
    (run_id,) = pick(draw, connection, "SELECT run_id FROM runs WHERE NOT parked")
    cell, value = draw(st.sampled_from(sorted(ROW_CELLS.items(), key=str)))
    connection.execute(f"UPDATE runs SET {cell}=? WHERE run_id=?", (value, run_id))


def say_that_something_is_owed(draw, connection):
    sql = "SELECT run_id FROM runs WHERE finished_at IS NULL"
    (run_id,) = pick(draw, connection, sql)
    connection.execute("UPDATE runs SET owes=1 WHERE run_id=?", (run_id,))


def delete_a_row(draw, connection):
    (run_id,) = pick(draw, connection, "SELECT run_id FROM runs")
    connection.execute("DELETE FROM runs WHERE run_id=?", (run_id,))


def rename_a_row(draw, connection):
    (run_id,) = pick(draw, connection, "SELECT run_id FROM runs")
    name = draw(st.sampled_from(["a-ghost", "zz-ghost"]))
    connection.execute("UPDATE runs SET run_id=? WHERE run_id=?", (name, run_id))


def delete_a_key(draw, connection):
    (scope,) = pick(draw, connection, "SELECT scope FROM idempotency_keys")
    connection.execute("DELETE FROM idempotency_keys WHERE scope=?", (scope,))


def change_a_key(draw, connection):
    (scope,) = pick(draw, connection, "SELECT scope FROM idempotency_keys")
    what, value = draw(
        st.sampled_from(
            [
                ("run_id", "ghost"),
                ("input_digest", "?"),
                ("scope", "ghost"),
                ("run_id", "$entity/Cart/c1@3"),
            ]
        )
    )
    connection.execute(f"UPDATE idempotency_keys SET {what}=? WHERE scope=?", (value, scope))


def exchange_two_keys(draw, connection):
    rows = connection.execute("SELECT scope, run_id FROM idempotency_keys").fetchall()
    first = draw(st.sampled_from(rows))
    second = draw(st.sampled_from([row for row in rows if row[1] != first[1]]))
    for scope, run_id in ((first[0], second[1]), (second[0], first[1])):
        sql = "UPDATE idempotency_keys SET run_id=? WHERE scope=?"
        connection.execute(sql, (run_id, scope))


DAMAGES = {
    delete_an_event: "version",
    delete_the_last_event_of_a_run: "row",
    delete_a_whole_run: "row",
    append_a_copy: "event_id",
    exchange_two_events_of_a_run: "order fact column row",
    exchange_the_positions_of_two_events: "position",
    give_an_event_to_another_stream: "version order",
    change_a_topic: "order fact column",
    spoil_a_state: "fact",
    change_a_version: "version",
    copy_an_event_id: "event_id",
    change_a_step: "column",
    change_a_cell_of_a_row: "row",
    say_that_something_is_owed: "debt",
    delete_a_row: "row",
    rename_a_row: "row",
    delete_a_key: "key",
    change_a_key: "key",
    exchange_two_keys: "key",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_a_damage_is_found(damage, healthy, tmp_path):
    @settings(
        max_examples=max(8, settings.default.max_examples // 8),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(st.data())
    def check(data):
        path = tmp_path / "damaged.db"
        shutil.copyfile(healthy, path)
        with closing(sqlite3.connect(path)) as connection, connection:
            damage(data.draw, connection)
        found = looked_at(path)
        assert set(DAMAGES[damage].split()) & set(found.counts), str(found)
        assert not found.ok
        assert all(finding.kind in ADVICE and finding.advice for finding in found.findings)
        path.unlink()

    check()


def test_a_broken_page_is_found(healthy, tmp_path):
    path = tmp_path / "damaged.db"
    told = 0
    for page in range(1, healthy.stat().st_size // 4096):
        shutil.copyfile(healthy, path)
        with path.open("r+b") as file:
            file.seek(page * 4096 + 8)
            file.write(b"\xff" * 512)
        try:
            found = looked_at(path)
        except StoreCorruptError:  # so broken that it cannot be opened
            continue
        told += "file" in found.counts  # a page may hold nothing where it was spoilt
        assert found.ok is (not found.counts)
    assert told > 10


def test_an_index_that_is_built_again_is_sound(healthy, tmp_path):
    path = tmp_path / "store.db"
    shutil.copyfile(healthy, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM runs")
        connection.execute("UPDATE idempotency_keys SET run_id='ghost'")
    found = looked_at(path)
    assert found.counts["row"] == found.runs
    rebuild_index(f"sqlite:///{path}")
    assert looked_at(path).findings == []


RESUMED = ("r1", c.ResumeRun("d2"))
SUSPENDED_AND_PAUSED = [
    ("r1", c.StartRun("d1")),
    ("r1", c.SuspendRun("diverged", "report", "d1")),
    ("r1", c.PauseRun()),
]


@pytest.mark.parametrize("make", [MemoryLog, SqliteLog])
def test_any_history_of_real_facts_is_sound(make, tmp_path):
    numbers = iter(range(10_000))

    share = 1 if make is MemoryLog else 5

    @settings(
        max_examples=settings.default.max_examples // share,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(scripts)
    @example(({"r1": c.QueueRun("order", "workflow", {})}, [("r1", c.PauseRun()), RESUMED]))
    @example(({"r1": c.QueueRun("order", "workflow", {})}, [*SUSPENDED_AND_PAUSED, RESUMED]))
    def check(script):
        name = tmp_path / f"{next(numbers)}.db"
        log = MemoryLog() if make is MemoryLog else SqliteLog(name, durability="process")
        ledger = _Ledger(Driver(log))
        first, commands = script
        for run_id, command in first.items():
            ledger.send(run_id, command)
        for each in commands:
            if isinstance(each, tuple):
                ledger.send(*each)
            else:
                ledger.call(each)
        with log.view() as view:
            found = [f for f in verify_view(view, all_checks()).findings if not f.is_harmless]
        log.close()
        assert found == []

    check()


@settings(deadline=None)
@given(s.histories(s.whole))
@example(timed([QUEUED, f.RunPaused(), f.RunResumed(definition="")]))
@example(timed([QUEUED, STARTED, SUSPENDED, f.RunPaused(), f.RunResumed(definition="")]))
def test_whatever_is_decided_about_a_run_is_sound(history):
    """Paused before it began or while it was suspended, too."""
    with disk_of(RUN, history).log.view() as view:
        found = verify_view(view, all_checks()).findings
    assert [one for one in found if not one.is_harmless] == []


async def test_an_encrypted_store_is_looked_at_with_its_keys(file_store):
    """Without them nothing is said of damage; with them, one event that was changed hides none."""

    @function
    async def work(n: int) -> int:
        return n

    keys = Keyring({"k": bytes(32)})
    async with Runtime(file_store, encryption=keys) as runtime:
        client = AsyncClient(runtime=runtime)
        for n in range(3):
            once = {"idempotency_key": f"k{n}"} if n else {}
            await client.run("work", {"n": n}, user_id=f"u{n}", run_id=f"r{n}", **once)
        await client.shred("u2")
        assert (await client.verify()).findings == []
    with pytest.raises(EncryptionKeyError):
        verify_store(file_store)
    path = file_store.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE stored_events SET recorded_at=1 WHERE originator_id='r0'")
        connection.execute("UPDATE runs SET component='other' WHERE run_id='r1'")
        sql = "UPDATE idempotency_keys SET input_digest=input_digest || '?' WHERE run_id='r1'"
        connection.execute(sql)
    found = verify_store(file_store, encryption=keys)
    assert found.counts == {"fact": 5, "row": 1, "key": 1}
    assert found.runs == 3


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE blobs SET content=replace(content, 'x', 'y')", "was changed"),
        ("DELETE FROM blob_uses", "not noted as used by event"),
        ("DELETE FROM blobs", "is missing"),
    ],
)
async def test_a_long_payload_that_lies_apart_is_looked_at(file_store, damage, found):
    """What is not noted as used would be dropped the next time that a run is pruned."""

    @function
    async def work() -> str:
        return "x" * 100_000

    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.run("work")
        assert (await client.verify()).findings == []
    with closing(sqlite3.connect(file_store.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(damage)
    assert found in str(verify_store(file_store))


async def test_a_store_that_is_written_meanwhile_is_sound(file_store):
    """The owner looks, and so does somebody who only reads."""

    @function
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        return n

    async with Runtime(file_store) as runtime:
        client = AsyncClient(runtime=runtime)

        async def load():
            for n in range(40):
                await asyncio.gather(
                    *(client.run("work", {"n": n}, idempotency_key=f"{n}.{k}") for k in range(5))
                )

        loading, looks = asyncio.create_task(load()), 0
        while not loading.done():
            found = [await client.verify(), await asyncio.to_thread(verify_store, file_store)]
            assert [each.findings for each in found] == [[], []]
            looks += 1
        await loading
        assert looks > 1
        assert (await client.verify()).runs == 200


def test_there_are_at_most_so_many_findings(healthy, tmp_path, monkeypatch):
    path = tmp_path / "damaged.db"
    shutil.copyfile(healthy, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM runs")
    monkeypatch.setattr("agnt5.verification.MAX_FINDINGS", 3)
    found = looked_at(path)
    assert len(found.findings) == 3
    assert found.counts["row"] == found.runs
    assert f"and {found.runs - 3} more" in str(found)


def test_what_is_harmless_does_not_hide_what_is_not(healthy, tmp_path, monkeypatch):
    """A few of a kind are told. The others are counted, and what was damaged is told as ever."""

    class Notes(Check):
        def stream(self, stream):
            yield Finding("parent", "it is not here", stream.name)
            yield Finding("row", "it is wrong", stream.name)

    monkeypatch.setattr("agnt5.store_checks.CHECKS", [Notes])
    monkeypatch.setattr("agnt5.verification.MAX_HARMLESS", 2)
    found = looked_at(healthy)
    kinds = [each.kind for each in found.findings]
    streams = found.runs + found.others
    assert (kinds.count("parent"), kinds.count("row")) == (2, streams)
    assert found.counts == {"parent": streams, "row": streams}
    assert f"and {streams - 2} more" in str(found)


def test_a_check_of_ones_own(healthy):
    class Shouts(Check):
        def stream(self, stream):
            if stream.run is not None and stream.run.failure is not None:
                yield Finding("row", "it failed", stream.name)

    with SqliteLog(healthy, readonly=True).view() as view:
        assert verify_view(view, [Shouts()]).counts == {"row": 1}
