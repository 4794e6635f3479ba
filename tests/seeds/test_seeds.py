"""The code of the seed documents runs as it is printed there, and survives being killed."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from tests.api.helpers import ROOT, end_processes, python
from tests.seeds.extract import snippets
from tests.seeds.layout import LAYOUTS
from tests.seeds.program import SAMPLES, components, program, program_with_stubs, whole
from tests.seeds.stubs import INPUTS, decorated

FOLDER = Path(os.environ.get("AGNT5_SEEDS") or ROOT.parent / "shared" / "seeds")
COUNTS = {"000": 7, "001": 12, "002": 23, "003": 1, "004": 6}
"""How many snippets each document has: an extractor that loses one must not pass."""
TOGETHER = (".parallel(", "gather(", ".batch(", ".map(")
"""What starts steps that are under way at the same time."""

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"the seed documents are not in {FOLDER}; AGNT5_SEEDS names another folder",
)


def document(number: str) -> list[str]:
    """The snippets of a document, or none when the document is not there."""
    files = sorted(FOLDER.glob(f"{number}_*.txt"))
    text = files[0].read_text(encoding="utf-8") if files else ""
    return snippets(text, LAYOUTS.get(number)) if text else []


def code_of(number, n):
    """A snippet, with a workflow around it when it is a fragment of one."""
    return whole(document(number), n) if number in LAYOUTS else document(number)[n]


ALL = [(number, n) for number in COUNTS for n in range(len(document(number)))]
WORKFLOWS = [
    (number, n, name)
    for number, n in ALL
    for name, (kind, _) in components(code_of(number, n), INPUTS | SAMPLES).items()
    if kind == "workflow"
]


def program_of(number, n, only=None):
    """The program around a snippet."""
    if number in LAYOUTS:
        return program_with_stubs(code_of(number, n), only)
    return program(document(number), n, only)


def label(case):
    """``000-3-research``."""
    return "-".join(map(str, case))


@pytest.fixture(scope="module", autouse=True)
def zygote():
    """The process from which those of the snippets are forked."""
    global _zygote
    _zygote = python(Path(__file__).with_name("zygote.py"), stdin=subprocess.PIPE)
    yield
    _zygote.stdin.close()
    assert _zygote.wait(10) == 0
    end_processes()


_zygote = None


def run(code, folder, die_at=0):
    """Run a program; its exit code, the answers it printed, what it said on stderr."""
    (folder / "program.py").write_text(code, encoding="utf-8")
    job = {"folder": str(folder), "env": {"AGNT5_DIE_AT": str(die_at)}}
    _zygote.stdin.write(json.dumps(job) + "\n")
    _zygote.stdin.flush()
    code = int(_zygote.stdout.readline())
    out, err = ((folder / name).read_text() for name in ("stdout", "stderr"))
    return code, [json.loads(line) for line in out.splitlines()], err


def effects(folder):
    """The effects that were begun, in order."""
    file = folder / "effects"
    return file.read_text().split("\n")[:-1] if file.exists() else []


@pytest.mark.parametrize("number", COUNTS)
def test_no_snippet_is_lost(number):
    """Every snippet of every document is found, whatever its formatting has suffered."""
    found = document(number)
    assert len(found) == COUNTS[number], "\n-----\n".join(found)


def test_the_table_names_every_snippet_and_its_tests():
    """docs/reference/seeds.md says of each what runs it."""
    page = (ROOT / "docs" / "reference" / "seeds.md").read_text(encoding="utf-8")
    killed = {(number, n) for number, n, _ in WORKFLOWS}
    for number, count in COUNTS.items():
        for case in ((number, n) for n in range(count)):
            tests = "run, kill" if case in killed else "run"
            row = next((r for r in page.splitlines() if r.startswith(f"| {label(case)} |")), "")
            assert row.endswith(f"| {tests} |"), (case, row)


@pytest.mark.parametrize("case", ALL, ids=label)
def test_a_snippet_runs(case, tmp_path):
    """In a process of its own, through Client: exit code 0, every component completes."""
    number, n = case
    code, answers, err = run(program_of(number, n), tmp_path)
    assert (code, err) == (0, ""), err
    assert answers
    for answer in answers:
        assert answer == "ran" or answer[1] == "completed", answer


def test_a_repeated_key_charges_once(tmp_path):
    """Document 004 calls ``charge_payment`` twice with one key: one effect."""
    (snippet,) = [n for n, code in enumerate(document("004")) if "duplicate charge" in code]
    code, _, err = run(program(document("004"), snippet), tmp_path)
    assert (code, err) == (0, "")
    assert effects(tmp_path) == ["charge_payment"]


def test_a_session_outlives_a_run_and_not_its_run_twice(tmp_path):
    """Document 001 counts visits: the same run again is the same visit, another run the next."""
    (n,) = [n for n, code in enumerate(document("001")) if "visit_count" in code]
    code = program_of("001", n)
    for program_text, visits in [(code, 1), (code, 1), (code.replace("seed-", "again-"), 2)]:
        status, answers, err = run(program_text, tmp_path)
        assert (status, err) == (0, "")
        assert json.loads(answers[0][2]) == {"visits": visits}


@pytest.mark.parametrize("case", WORKFLOWS, ids=label)
def test_a_workflow_is_killed_in_the_middle_and_resumed(case, tmp_path):
    """SIGKILL in each of its effects in turn: the same result, completed steps do not run again."""
    number, n, name = case
    code = program_of(number, n, name)
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    status, expected, err = run(code, undisturbed)
    assert (status, err) == (0, ""), err
    assert expected[0][1] == "completed"
    planned = effects(undisturbed)
    assert planned
    for victim in range(1, len(planned) + 1):
        folder = tmp_path / str(victim)
        folder.mkdir()
        status, answers, _ = run(code, folder, die_at=victim)
        assert (status, answers) == (-signal.SIGKILL, [])
        before = effects(folder)
        # Threads may have begun others before the death of the process.
        assert len(before) >= victim
        status, answers, err = run(code, folder)
        if decorated(ast.parse(code)).get(before[-1]) == "tool":
            # Nobody knows whether it has acted, so it is not repeated.
            assert (status, answers[0][1]) == (0, "failed")
            assert effects(folder) == before
            continue
        assert (status, err, answers) == (0, "", expected)
        counted = Counter(effects(folder))
        if any(word in document(number)[n] for word in TOGETHER):
            # Its branches are under way together: the others may have been cut short as well.
            assert set(counted) == set(planned)
        else:
            assert counted == Counter(planned) + Counter([before[-1]])
