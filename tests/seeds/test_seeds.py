"""The code of the seed documents runs as it is printed there, and survives being killed."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from tests.api.helpers import ROOT, python
from tests.seeds.extract import snippets
from tests.seeds.program import components, program

FOLDER = Path(os.environ.get("AGNT5_SEEDS") or ROOT.parent / "shared" / "seeds")
COUNTS = {"000": 7, "003": 1, "004": 6}
"""How many snippets each document has: an extractor that loses one must not pass."""

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"the seed documents are not in {FOLDER}; AGNT5_SEEDS names another folder",
)


def document(number: str) -> list[str]:
    """The snippets of a document, or none when the document is not there."""
    files = sorted(FOLDER.glob(f"{number}_*.txt"))
    return snippets(files[0].read_text(encoding="utf-8")) if files else []


ALL = [(number, n) for number in COUNTS for n in range(len(document(number)))]
WORKFLOWS = [
    (number, n, name)
    for number, n in ALL
    for name, (kind, _) in components(document(number)[n]).items()
    if kind == "workflow"
]


def label(case):
    """``000-3-research``."""
    return "-".join(map(str, case))


def run(code, folder, die_at=0):
    """Run a program; its exit code, the answers it printed, what it said on stderr."""
    file = folder / "program.py"
    file.write_text(code, encoding="utf-8")
    process = python(file, cwd=folder, env={"AGNT5_DIE_AT": str(die_at)})
    out, err = process.communicate(timeout=50)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def effects(folder):
    """The effects that were begun, in order."""
    file = folder / "effects"
    return file.read_text().split("\n")[:-1] if file.exists() else []


@pytest.mark.parametrize("number", COUNTS)
def test_no_snippet_is_lost(number):
    """Every snippet of every document is found, whatever its formatting has suffered."""
    found = document(number)
    assert len(found) == COUNTS[number], "\n-----\n".join(found)


@pytest.mark.parametrize("case", ALL, ids=label)
def test_a_snippet_runs(case, tmp_path):
    """In a process of its own, through Client: exit code 0, every component completes."""
    number, n = case
    code, answers, err = run(program(document(number), n), tmp_path)
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


@pytest.mark.parametrize("case", WORKFLOWS, ids=label)
def test_a_workflow_is_killed_in_the_middle_and_resumed(case, tmp_path):
    """SIGKILL in each of its effects in turn: the same result, completed steps do not run again."""
    number, n, name = case
    code = program(document(number), n, only=name)
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
        assert len(before) == victim
        status, answers, err = run(code, folder)
        assert (status, err, answers) == (0, "", expected)
        counted = Counter(effects(folder))
        if "ctx.parallel" in document(number)[n]:
            # Its branches are under way together: the others may have been cut short as well.
            assert set(counted) == set(planned)
        else:
            assert counted == Counter(planned) + Counter([before[-1]])
