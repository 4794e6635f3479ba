"""The commands that look: runs, show, events, state, diff, explain."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.api.helpers import end_processes, python
from tests.cli.desk import NASTY
from tests.cli.shell import agnt5

from agnt5 import Client
from agnt5.cli.commands import COMMANDS
from agnt5.operating import Onlooker

ALL = ["run-5", "run-4", "run-3", "run-22", "run-2", "run-1", "other"]
BUSY = """
import sys, time
from agnt5 import *
@function
async def work(n: int) -> int: return n
client = Client(store=sys.argv[1])
client.run("work", {"n": 0}, run_id="first")
print("ready", flush=True)
for line in sys.stdin:
    client.run("work", {"n": 1}, run_id=line.strip())
"""


@pytest.fixture(autouse=True)
def processes():
    yield
    end_processes()


def ids(found):
    return [run["run_id"] for run in found["runs"]]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], None),
        (["--status", "completed", "--kind", "workflow"], ["run-5", "run-2", "run-1"]),
        (["--user", "bob"], ["run-4", "run-2"]),
        (["--user", "bob", "--status", "completed"], ["run-2"]),
        (["--session", "s-ann", "--component", "order"], ["run-3", "run-22", "run-1"]),
        (["--kind", "function"], ["other"]),
        (["--since", "1h", "--kind", "function"], ["other"]),
        (["--until", "1h"], []),
        (["--before", "run-2", "--user", "ann"], ["run-1"]),
    ],
)
def test_runs_are_those_of_the_filters(path, says, filters, expected):
    found = says("runs", "--json", *filters)
    assert found["next"] is None
    shown = [run for run in ids(found) if not run.startswith("run-5.")]
    assert shown == (ALL if expected is None else expected)
    table = says("runs", *filters).splitlines()
    assert table[0].split() == ["RUN", "STATUS", "COMPONENT", "KIND", "USER", "ACCEPTED", "TOOK"]
    assert [line.split()[0] for line in table[1:]] == ids(found)


def test_a_child_is_found_by_its_parent(path, says):
    (child,) = says("runs", "--parent", "run-5", "--json")["runs"]
    assert (child["run_id"][:6], child["component"]) == ("run-5.", "order")


def test_pages_of_runs_are_the_whole_list(path, says):
    whole, pages, after = ids(says("runs", "--json")), [], []
    while True:
        page = says("runs", "--json", "--limit", "3", *after)
        pages += ids(page)
        if page["next"] is None:
            break
        after = ["--before", page["next"]]
    assert pages == whole
    more = f"There are more: --before {whole[0]} goes on."
    assert says("runs", "--limit", "1").splitlines()[-1] == more


def test_a_run_is_named_by_the_first_characters_of_its_id(path, says, fails):
    assert says("state", "run-2", "--json")["run_id"] == "run-2"  # although there is run-22
    assert says("state", "oth", "--json")["run_id"] == "other"
    assert "'run-5.x'" in fails("state", "run-5.x", status=1)
    several = fails("state", "run-", status=2)
    assert all(run in several for run in ("run-5", "run-4", "run-3", "and more"))
    assert "run-2, " not in several
    for command in ("show", "state", "explain", "events"):
        assert "there is no run 'nobody'" in fails(command, "nobody", status=1)


def test_an_empty_id_means_no_run(path, fails):
    for command in ("show", "cancel"):
        assert "the id of the run is empty" in fails(command, "", status=2)


def test_what_is_shown_is_what_a_client_says(path, says):
    with Looking(path) as client:
        assert says("state", "run-22", "--json") == client.state_at("run-22").model_dump(
            mode="json"
        )
        assert says("state", "run-22") == f"{client.state_at('run-22')}\n"
        third = client.state_at("run-22", 3)
        assert says("state", "run-22", "--at", "3", "--json") == third.model_dump(mode="json")
        at = third.at.isoformat()
        assert (
            says("state", "run-22", "--at", at, "--json")["at"]
            == third.model_dump(mode="json")["at"]
        )
        known = client.explain("run-22").model_dump(mode="json", exclude={"at"})
        said = says("explain", "run-22", "--json")
        assert {k: v for k, v in said.items() if k != "at"} == known
        difference = client.diff("run-22", 1, 3)
        assert says("diff", "run-22", "1", "3", status=1) == f"{difference}\n"
        said = says("diff", "run-22", "1", "3", "--json", status=1)
        assert said == difference.model_dump(mode="json")
    assert "no change" in says("diff", "run-22", "3", "3")


class Looking:
    """A client of a store that is only looked at, for a test without a loop."""

    def __init__(self, path):
        self.url = f"sqlite:///{path}"

    def __enter__(self):
        from agnt5.hosting import HostedRuntime

        self.host = HostedRuntime(self.url)
        self.host.runtime = Onlooker(self.url)
        self.host.start()
        return Client(runtime=self.host.runtime)

    def __exit__(self, *_):
        self.host.close()


def test_show_tells_the_steps_of_a_run(path, says):
    found = says("show", "run-2", "--json")
    (step,) = found["steps"]
    assert step["name"] == "pay"
    assert (step["status"], step["attempts"], step["output"]) == ("completed", 2, "paid 13")
    assert step["error"] is None
    assert found["run"]["status"] == found["explanation"]["status"] == "completed"
    page = says("show", "run-22")
    assert ":pay#0  completed  1" in page
    assert "user ann  session s-ann" in page
    assert "an answer to 'ok?'" in page
    assert "question" not in page
    assert says("show", "other", "--json")["steps"][0]["key"] == ":pay#0"


def test_show_tells_what_people_said_and_the_children(path, says):
    (told,) = [line for line in says("show", "run-3").splitlines() if line.startswith("question ")]
    assert re.fullmatch(r'question ".* answered "reject" by ann at \S+ \S+: ".*', told)
    (child,) = [line for line in says("show", "run-5").splitlines() if line.startswith("child ")]
    assert re.fullmatch(r"child run-5\.\w+ \(workflow order\): completed", child)


def test_events_are_those_of_the_client(path, says):
    with Looking(path) as client:
        whole = [(e.id, e.event_type) for e in client.events()]
        assert [(e["id"], e["event_type"]) for e in says("events", "--json")] == whole
        assert len(says("events").splitlines()) == len(whole)
        for arguments, filters in (
            (["run-2"], {"run_id": "run-2"}),
            (
                ["--user", "ann", "--type", "run.failed"],
                {"user_id": "ann", "event_types": "run.failed"},
            ),
            (
                ["--topic", "RunQueued", "--topic", "RunFailed"],
                {"topics": ["RunQueued", "RunFailed"]},
            ),
            (["--step", "pay", "--kind", "workflow"], {"step": "pay", "kind": "workflow"}),
            (["--actor", "ann"], {"actor": "ann"}),
            (["--status", "failed", "--backward"], {"status": "failed", "backward": True}),
        ):
            expected = [e.id for e in client.events(**filters)]
            assert expected
            assert [e["id"] for e in says("events", "--json", *arguments)] == expected
            if "backward" not in filters and "event_types" not in filters:
                number = client.count_events(**filters)
                assert says("events", "--count", *arguments) == f"{number}\n"
                assert says("events", "--count", "--json", *arguments) == {"count": number}
        by = client.count_events_by("topic", user_id="ann")
        said = says("events", "--count-by", "topic", "--user", "ann", "--json")
        assert {each["topic"]: each["count"] for each in said} == by
    position = says("events", "--json", "--limit", "4")[-1]["metadata"]["position"]
    rest = says("events", "--json", "--after", str(position))
    assert rest[0]["metadata"]["position"] == position + 1
    assert says("events", "--until", "1h", "--json") == []
    assert not says("events", "--until", "1h")


def test_what_cannot_be_asked_is_wrong_usage(path, fails):
    assert "is no time" in fails("runs", "--since", "yesterday-ish", status=2)
    assert "is no time" in fails("state", "run-2", "--at", "99999999w", status=2)
    assert "there is none at 99" in fails("state", "run-2", "--at", "99", status=2)
    assert "goes with filters only" in fails("events", "--count", "--limit", "3", status=2)
    assert "no fact of a run is a 'Nonsense'" in fails("events", "--topic", "Nonsense", status=2)
    assert "cannot filter" in fails("events", "--follow", "--status", "failed", status=2)


def test_times_may_be_local(path, says, monkeypatch):
    now = datetime.now(UTC)
    for text in (now.isoformat(), now.astimezone().replace(tzinfo=None).isoformat(), "0s"):
        assert len(says("runs", "--json", "--until", text)["runs"]) == len(ALL) + 1
    tomorrow = (now + timedelta(days=1)).astimezone().date().isoformat()
    assert says("runs", "--json", "--since", tomorrow)["runs"] == []


ENDS = ("RunQueued", "RunFailed")
ON_A_STORE = {
    "cancel": ["x"],
    "diff": ["x", "1"],
    "events": [],
    "explain": ["x"],
    "export": ["out.jsonl"],
    "import": ["in.jsonl"],
    "query": ["SELECT 1"],
    "reply": ["x", "yes"],
    "runs": [],
    "show": ["x"],
    "signal": ["x", "go"],
    "state": ["x"],
}


@pytest.mark.parametrize("command", sorted(ON_A_STORE))
def test_a_store_that_is_not_there_is_not_made(command, tmp_path, fails, monkeypatch):
    assert command in COMMANDS
    asked = [command, *ON_A_STORE[command]]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGNT5_STORE", "sqlite:///folder/no.db")
    said = fails(*asked, status=3)
    assert "folder/no.db does not exist" in said
    assert "no.db does not exist" in fails(
        command, *ON_A_STORE[command], "--store", "no.db", status=3
    )
    assert list(Path().iterdir()) == []
    fails(*asked, "--store", "memory://", status=2)
    Path("text.db").write_text("this is no database, and was never one")
    fails(*asked, "--store", "text.db", status=3)


def test_looking_changes_no_byte(path, says):
    before = path.read_bytes()
    for command in ("runs", "events"):
        says(command)
    for command in ("show", "state", "explain"):
        says(command, "run-2")
    says("query", "SELECT count(*) FROM agnt5_events")
    assert path.read_bytes() == before


def test_nothing_that_is_recorded_reaches_the_terminal_as_a_command(path, says):
    """Payloads, questions and reasons that hold escapes are printed as text."""
    for command in (
        ["show", "run-3"],
        ["state", "run-3"],
        ["explain", "run-3"],
        ["events", "run-3"],
    ):
        text = says(*command)
        assert "gone" in text
        assert not set(text) & (set(NASTY) - set(map(chr, range(0x20, 0x7F))))
        assert r"1b[2J" in text
    events = says("events", "run-3", "--json", "--type", "run.queued")
    assert events[0]["input_data"]["note"] == NASTY
    sql = "SELECT json_extract(input, '$.note') AS note FROM agnt5_runs WHERE run_id='run-3'"
    for text in (says("query", sql), says("query", sql, "--json")["rows"][0][0]):
        assert text == NASTY or r"\x1b[2Jgone\x07 \x9b31m \u202etxt.exe\u2066 \x7f \r" in text


def test_an_owner_is_followed_from_beside_it(tmp_path):
    """Another process writes; what it writes is printed as it comes, until Ctrl-C, quietly."""
    store = f"sqlite:///{tmp_path}/a.db"
    owner = python(BUSY, store, stdin=subprocess.PIPE)
    assert owner.stdout.readline() == "ready\n"
    assert '"first"' in agnt5("runs", "--json", "--store", store, cwd=tmp_path).stdout
    busy = agnt5("cancel", "first", "--store", store, cwd=tmp_path)
    assert busy.returncode == 3
    assert f"pid {owner.pid}" in busy.stderr
    assert "through its client" in busy.stderr
    command = [sys.executable, "-m", "agnt5", "events", "-f", "--json", "--type", "run.queued"]
    follower = subprocess.Popen(
        [*command, "--store", store],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert '"first"' in follower.stdout.readline()
    owner.stdin.write("second\n")
    owner.stdin.flush()
    assert '"second"' in follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    out, err = follower.communicate(timeout=20)
    assert (follower.returncode, out, err) == (130, "", "")
    owner.kill()
    owner.communicate()
    assert len(agnt5("runs", "--store", store, cwd=tmp_path).stdout.splitlines()) == 3


def test_a_reader_of_events_that_leaves_is_no_error(path):
    command = f"{sys.executable} -m agnt5 events --json | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")


def test_a_status_that_no_run_can_have_is_wrong_usage(path, fails):
    for command in ("runs", "events", "bulk cancel", "export x.jsonl"):
        told = fails(*command.split(), "--status", "faild", status=2)
        assert "no run has the status 'faild': it is one of queued, running," in told


def test_what_is_under_way_elsewhere_is_said_as_an_onlooker_knows_it(path, says):
    says("fork", "run-4", "--at", "1", "--id", "new")
    told = says("explain", "new")
    assert "it begins once a program that executes the run opens the store" in told
    assert "nobody has it open. Nothing of the run is lost: start the program" in told
    assert "about to begin" not in told
