"""The commands that write: cancel, reply, signal, export, import; and the one that only asks."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.cli.desk import forget, workflows

from agnt5 import AsyncClient, Runtime
from agnt5.cli import main
from agnt5.cli.harmless import harmless
from agnt5.cli.output import json_text


def results(path, *run_ids):
    """Execute what is owed, and see how runs end."""

    async def go():
        async with Runtime(f"sqlite:///{path}") as runtime:
            client = AsyncClient(runtime=runtime)
            return [await client.wait_for_result(run_id, 15) for run_id in run_ids]

    workflows()
    try:
        return asyncio.run(go())
    finally:
        forget()


# Telling


def test_what_runs_are_told_takes_effect_when_somebody_executes_them(path, says, fails):
    assert says("cancel", "run-4", "--reason", "too late") == (
        "run run-4 is asked to stop; it does when a program executes it\n"
    )
    assert "is answered" in says("reply", "run-22", "approve", "--actor", "bob", "--reason", "fine")
    assert says("signal", "run-22", "go", '{"berth": 7}') == "run run-22 has the signal 'go'\n"
    reply = says("events", "run-22", "--type", "approval.resolved", "--json")[0]
    assert reply["output_data"] == "approve"
    assert {"actor": "bob", "channel": "cli", "reason": "fine"}.items() <= reply["metadata"].items()
    cancelled, ended = results(path, "run-4", "run-22")
    assert cancelled.error.message.endswith("too late")
    assert ended.output == "{'berth': 7}"
    assert says("cancel", "run-22") == "run run-22 has ended: completed\n"
    assert says("cancel", "run-22", "--json") == {"run_id": "run-22", "status": "completed"}
    assert "run-22" in fails("signal", "run-22", "go", status=2)


def test_what_cannot_be_told_is_refused_and_nothing_is_written(path, fails):
    before = path.read_bytes()
    assert "is for 'ann', 'bob'" in fails("reply", "run-22", "approve", "--actor", "eve", status=2)
    assert "is no option" in fails("reply", "run-22", "perhaps", "--actor", "ann", status=2)
    assert "skip" in fails("reply", "run-22", "--skip", "--actor", "ann", status=2)
    assert "ANSWER, or --skip" in fails("reply", "run-22", status=2)
    assert "ANSWER, or --skip" in fails("reply", "run-22", "yes", "--skip", status=2)
    assert "is JSON" in fails("signal", "run-22", "go", "{berth: 7}", status=2)
    assert "is JSON" in fails("signal", "run-22", "go", "[" * 100_000, status=2)
    for command in (["cancel", "nobody"], ["reply", "nobody", "x"], ["signal", "nobody", "go"]):
        assert "no run 'nobody'" in fails(*command, status=1)
    with closing(sqlite3.connect(path)) as now:
        after = now.execute("SELECT count(*) FROM stored_events").fetchone()
    path.write_bytes(before)
    with closing(sqlite3.connect(path)) as then:
        assert then.execute("SELECT count(*) FROM stored_events").fetchone() == after


def test_a_signal_may_come_from_stdin_and_is_one_by_its_id(path, says, monkeypatch):
    for _ in range(2):
        monkeypatch.setattr("sys.stdin", io.StringIO('["a"]'))
        says("signal", "run-22", "go", "-", "--id", "once", "--json")
    found = says("events", "run-22", "--type", "signal.received", "--json")
    assert [event["input_data"] for event in found] == [["a"]]


# Moving


def test_runs_are_moved_from_store_to_store(path, tmp_path, says, fails):
    counted = says("export", "runs.jsonl", "--json")
    events = int(says("events", "--count"))
    assert counted == {"file": "runs.jsonl", "runs": 8, "events": events, "shredded": []}
    other = ["--store", "other.db"]
    told = fails("import", "runs.jsonl", *other, status=3)
    assert told.endswith("other.db does not exist. Check the path, or make it with --create\n")
    done = says("import", "runs.jsonl", "--create", *other, "--json")
    assert (done["runs"], sorted(done["suspended"])) == (8, ["run-22", "run-4"])
    assert "8 were there already" in says("import", "runs.jsonl", *other)
    says("export", "again.jsonl", *other, "--status", "completed")
    says("export", "same.jsonl", "--status", "completed")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "same.jsonl").read_bytes()
    says("export", "two.jsonl", "run-1", "run-2")
    assert says("import", "two.jsonl", "--create", "--store", "two.db", "--json")["runs"] == 2
    assert "not both" in fails("export", "x.jsonl", "run-1", "--user", "ann", status=2)
    assert "cannot be written" in fails("export", "no/folder/x.jsonl", status=2)
    assert "cannot be read" in fails("import", "nowhere.jsonl", status=2)
    (tmp_path / "cut.jsonl").write_bytes((tmp_path / "runs.jsonl").read_bytes()[:-30])
    assert "cut.jsonl, line" in fails("import", "cut.jsonl", *other, status=2)


def test_runs_go_through_pipes(path, tmp_path):
    agnt5 = f"{sys.executable} -m agnt5"
    command = f"{agnt5} export - --user ann | {agnt5} import - --create --json --store new.db"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["runs"] == 3
    assert done.stderr.startswith("3 runs with ")


# Asking in SQL


def test_a_question_in_sql_is_answered_in_three_forms(path, says):
    sql = "SELECT run_id, status FROM agnt5_runs WHERE user_id = ? ORDER BY run_id"
    rows = [["run-2", "completed"], ["run-4", "awaiting_user_input"]]
    assert says("query", sql, "bob", "--json") == {
        "columns": ["run_id", "status"],
        "rows": rows,
        "is_cut": False,
    }
    assert [line.split() for line in says("query", sql, "bob").splitlines()] == [
        ["run_id", "status"],
        *rows,
    ]
    table = list(csv.reader(io.StringIO(says("query", sql, "bob", "--csv"))))
    assert table == [["run_id", "status"], *rows]
    odd = says("query", "SELECT x'00ff', NULL, 1.5, 'a,\"b\n'", "--csv")
    assert list(csv.reader(io.StringIO(odd)))[1] == ["x'00ff'", "", "1.5", 'a,"b\n']
    cut = says("query", "SELECT run_id FROM agnt5_runs", "--limit", "2", "--json")
    assert (len(cut["rows"]), cut["is_cut"]) == (2, True)
    assert "There are more rows" in says("query", "SELECT 1 UNION SELECT 2", "--limit", "1")


REFUSED = [
    "INSERT INTO leases VALUES ('a', 'b', 1)",
    "DELETE FROM stored_events",
    "UPDATE runs SET status = 'completed'",
    "DROP VIEW agnt5_runs",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "ATTACH 'other.db' AS other",
    "DETACH main",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA query_only = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA wal_checkpoint",
    "VACUUM",
    "VACUUM INTO 'other.db'",
    "REINDEX",
    "ANALYZE",
    "BEGIN IMMEDIATE",
    "SELECT load_extension('x')",
    "SELECT 1; DELETE FROM runs",
    "SELECT length(zeroblob(1000000000))",
    "SELECT ?",
    "SELECT * FROM nothing",
    "",
    "/* nothing */",
    "SELECT '\0'",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_a_question_changes_nothing(path, tmp_path, fails, sql):
    before, files = path.read_bytes(), {each.name for each in tmp_path.iterdir()}
    assert "INVALID" in fails("query", sql, status=2)
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} - files <= {"desk.db-shm", "desk.db-wal"}


VERBS = ("SELECT", "INSERT INTO", "DELETE FROM", "UPDATE", "SET", "PRAGMA", "ATTACH", "WITH", "AS")
SIGNS = ("*", "(", ")", ";", ",", "=", "1", "'a'", "FROM", "RETURNING")
NAMES = ("runs", "leases", "stored_events", "scope", "status", "user_version", "journal_mode")
WORDS = (*VERBS, *SIGNS, *NAMES)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("PRAGMA table_info(runs)")
@example("EXPLAIN QUERY PLAN SELECT * FROM agnt5_steps")
@example("WITH a AS (SELECT 1) DELETE FROM runs")
@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(WORDS),
            max_size=9,
        ).map(" ".join),
    )
)
def test_no_text_is_a_way_to_change_a_store(path, capsys, sql):
    before = path.read_bytes()
    assert main(["query", "--", sql]) in {0, 2}
    assert "Traceback" not in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_question_that_never_ends_is_ended(path, fails):
    forever = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    assert "took more than 0.1 s" in fails("query", forever, "--timeout", "0.1", status=2)


def test_a_question_is_ended_by_ctrl_c(path, fails):
    forever = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        assert fails("query", forever, status=130) == "\nagnt5: interrupted\n"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Harmless text

obeyed = [*range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F)]
obeyed += [*range(0x2066, 0x206A), 0xFEFF, *range(0xD800, 0xE000)]
OBEYED = set(map(chr, obeyed))
texts = st.text(st.characters(exclude_categories=()) | st.sampled_from(sorted(OBEYED)))


@given(texts)
def test_nothing_in_a_harmless_text_is_obeyed(text):
    assert not set(harmless(text)) & OBEYED
    assert harmless(text, lines=True).split("\n") == [harmless(one) for one in text.split("\n")]
    assert harmless(text) == text or set(text) & OBEYED


@given(st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_json_is_harmless_and_says_the_same(value):
    for indent in (None, 2):
        text = json_text(value, indent=indent)
        assert not set(text) & (OBEYED - {"\n"})
        assert json.loads(text) == value


def test_completion_is_a_script(says):
    for shell in ("bash", "zsh", "fish"):
        script = says("completion", shell)
        assert "_AGNT5_COMPLETE" in script
        assert says("completion", shell, "--json") == {"shell": shell, "script": script[:-1]}
