"""The commands that operate runs: what they write, what they say, and what they only would do."""

from __future__ import annotations

import sys

import pytest
from tests.cli.desk import forget
from tests.cli.test_telling import results

APP = """
from tests.cli.desk import workflows

workflows()
"""


@pytest.fixture
def app(path):
    """The code, as a module in the folder one stands in."""
    (path.parent / "desk_app.py").write_text(APP)
    yield "desk_app"
    sys.modules.pop("desk_app", None)
    sys.path.remove(str(path.parent))
    forget()


def test_a_run_is_paused_and_goes_on_when_it_is_resumed(path, says, fails):
    assert says("pause", "run-22", "--reason", "holiday") == "run run-22 is paused\n"
    assert "holiday" in says("explain", "run-22")
    assert says("state", "run-22", "--json")["status"] == "paused"
    assert "run-22" in says("runs", "--status", "paused")
    says("reply", "run-22", "approve", "--actor", "ann")
    says("signal", "run-22", "go", "7")
    assert "goes on" in says("resume", "run-22")
    assert results(path, "run-22")[0].output == "7"
    assert "nothing to pause" in fails("pause", "run-22", status=2)
    assert "nothing to resume" in fails("resume", "run-22", status=2)
    assert "no run 'nobody'" in fails("pause", "nobody", status=1)


def test_a_fork_is_told_before_and_made_then(path, says, fails, app):
    before = path.read_bytes()
    preview = says("fork", "run-3", "--at", "4", "--dry-run", "--app", app)
    assert "a fork of run run-3" in preview
    assert "compatible" in preview
    told = says("fork", "run-3", "--at", "4", "--dry-run", "--json")
    assert told["redo"][0]["key"] == ":wait_for_user#0"
    assert path.read_bytes() == before
    made = says("fork", "run-3", "--at", "5", "--id", "again", "--reason", "a mistake", "--json")
    assert made == {"run_id": "again", "origin": "run-3"}
    says("reply", "again", "approve", "--actor", "ann")
    says("signal", "again", "go", '"x"')
    assert results(path, "again")[0].output.endswith("x")
    assert says("state", "again", "--json")["fork"]["origin"] == "run-3"
    assert "there is none at 99" in fails("fork", "run-3", "--at", "99", status=2)
    assert "JSON object" in fails("fork", "run-3", "--input", "[1]", status=2)
    assert "registered" in fails("fork", "run-3", "--version", "9", status=1)
    assert "--app nothing_of_the_kind" in fails(
        "fork", "run-3", "--app", "nothing_of_the_kind", status=2
    )


def test_a_failed_run_is_tried_again_and_any_run_anew(path, says, fails, app):
    assert "a fork of run run-3" in says("retry", "run-3", "--dry-run")
    run_id = says("retry", "run-3", "--json")["run_id"]
    assert "not ended" in fails("retry", "run-22", status=2)
    anew = says("rerun", "run-1", "--input", '{"cents": 7, "note": "n"}', "--app", app, "--json")
    assert anew["origin"] == "run-1"
    again, other = results(path, run_id, anew["run_id"])
    assert again.is_error
    assert other.output == "n"


@pytest.mark.parametrize("command", ["rerun", "what-if"])
def test_what_needs_code_asks_for_it(command, path, fails):
    assert "missing option '--app'" in fails(command, "run-1", status=2)


def test_code_that_fails_is_no_bug_of_agnt5(path, fails, monkeypatch):
    (path.parent / "broken_app.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(path.parent)
    told = fails("what-if", "run-1", "--app", "broken_app", status=2)
    assert told == (
        "agnt5: --app broken_app cannot be imported: ZeroDivisionError: division by zero\n"
    )


def test_what_if_says_whether_code_fits(path, says, app):
    before = path.read_bytes()
    assert "compatible" in says("what-if", "run-1", "--app", app)
    report = says("what-if", "run-22", "--app", app, "--at", "3", "--json")
    assert report["verdict"] == "compatible"
    assert path.read_bytes() == before


def test_many_runs_at_once_are_a_dry_run_unless_one_says_yes(path, says, fails):
    dry = says("bulk", "cancel", "--user", "bob", "--status", "awaiting_user_input")
    assert "cancel would be done to 1 run" in dry
    assert "nothing was done" in dry
    assert says("state", "run-4", "--json")["status"] == "awaiting_user_input"
    told = says("bulk", "pause", "--status", "awaiting_user_input", "--yes", "--json")
    assert [(each["run_id"], each["result"]) for each in told["items"]] == [
        ("run-4", "done"),
        ("run-22", "done"),
    ]
    assert "nothing to pause" in says("bulk", "pause", "--user", "ann", status=1)
    first = says("bulk", "cancel", "--limit", "1")
    assert first.splitlines()[-1] == f"There are more: --before {first.split()[7]} goes on."
    refused = says("bulk", "pause", "--user", "ann", "--yes", status=1)
    assert "nothing to pause" in refused
    assert "not both" in fails("bulk", "pause", "--yes", "--dry-run", status=2)
    assert "limit is a number" in fails("bulk", "pause", "--limit", "0", status=2)
