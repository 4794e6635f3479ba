"""Commands that look after a store, on one that is sound and on one that is not."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from agnt5.histories import read_histories


def test_a_sound_store(path, says):
    assert says("verify").startswith("sound: ")
    told = says("verify", "--json")
    assert told["ok"] is True
    assert told["findings"] == []


def test_a_damage_is_told_with_what_to_do(path, says):
    with closing(sqlite3.connect(path)) as connection, connection:
        (run_id,) = connection.execute("SELECT run_id FROM runs").fetchone()
        connection.execute("UPDATE runs SET component='\x1b[31m' WHERE run_id=?", (run_id,))
    said = says("verify", status=1)
    assert f"row: run {run_id}" in said
    assert "\x1b" not in said
    assert "agnt5 rebuild-index" in said
    assert says("verify", run_id, "--json", status=1)["counts"] == {"row": 1}


def test_who_is_asked_for_nobody_says_so(path, fails):
    assert "NOT_FOUND" in fails("verify", "nobody", status=1)


def test_runs_may_be_named_by_their_first_characters(path, says, fails):
    assert says("verify", "run-3", "oth", "--json")["runs"] == 2
    assert "may be several runs" in fails("verify", "run-", status=2)


def test_the_doctor(path, says, capsys):
    from agnt5.cli import main

    assert main(["doctor", "--json"]) in {0, 1}
    told = json.loads(capsys.readouterr().out)
    assert told["store"]["path"] == str(path)
    assert told["runs"]["completed"] > 0
    assert told["ok"] is (not told["complaints"])
    assert main(["doctor", "--stuck-after", "4w"]) in {0, 1}
    assert "store: " in capsys.readouterr().out


def test_prune_and_vacuum(path, says, tmp_path):
    planned = says("prune", "--older-than", "0s", "--dry-run", "--json")
    assert planned["dry_run"] is True
    assert planned["runs"] > 0
    done = says("prune", "--older-than", "0s", "--archive", str(tmp_path / "old"), "--json")
    assert (done["runs"], done["events"]) == (planned["runs"], planned["events"])
    assert sum(len(read_histories(file)) for file in done["files"]) == done["runs"]
    assert "0 runs" in says("prune", "--older-than", "0s", "--no-archive")
    assert "bytes before" in says("vacuum")
    assert says("verify", "--json")["ok"] is True
    assert says("import", *done["files"], "--json")["runs"] == done["runs"]


def test_wrong_usage(path, fails):
    assert "no-archive" in fails("prune", "--older-than", "30d", status=2)
    both = ("--archive", "x", "--no-archive")
    assert "no-archive" in fails("prune", "--older-than", "30d", *both, status=2)
    assert "how long" in fails("prune", "--older-than", "soon", "--no-archive", status=2)
    assert "does not exist" in fails("vacuum", "--store", "none.db", status=3)
