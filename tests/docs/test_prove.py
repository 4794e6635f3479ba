"""The pages on tests, done as they say: their tests pass, or fail with the reports on the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, blocks

TUTORIAL = ROOT / "docs" / "tutorial" / "prove-a-workflow.md"
HOW_TO = ROOT / "docs" / "howto" / "test.md"
_EDIT = re.compile(r"# (file|add to|replace in|remove from): (\S+)\n")


def apply(block: Block, folder: Path) -> None:
    """Do to a file what a block says."""
    found = _EDIT.match(block.source)
    assert found, block.source
    path, body = folder / found[2], block.source[found.end() :]
    known = path.read_text() if path.exists() else ""
    match found[1]:
        case "file":
            changed = block.source
        case "add to":
            changed = f"{known}\n\n{body}"
        case "remove from":
            assert body in known
            changed = known.replace(body, "")
        case _:
            begins = re.escape(re.split(r" [=|] ", body)[0].rstrip())
            changed, times = re.subn(rf"(?m)^{begins}.*\n", body, known)
            assert times == 1, begins
    path.write_text(changed)


def run(folder: Path) -> list[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AGNT5_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    env = {**kept, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "default"}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=100
    )
    return [line.rstrip() for line in done.stdout.splitlines()]


def follow(page: Path, folder: Path) -> int:
    """Do what a page says; how often pytest has printed what stands there."""
    (folder / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\n")
    seen = 0
    for block in blocks(page):
        if block.language == "python":
            apply(block, folder)
        elif block.language == "console" and block.source.startswith("$ pytest"):
            printed = run(folder)
            at = 0
            for line in block.source.splitlines()[1:]:
                wanted = line.rstrip()
                is_last = wanted.endswith(("passed", "failed"))
                found = [
                    n
                    for n in range(at, len(printed))
                    if printed[n] == wanted or (is_last and printed[n].startswith(wanted))
                ]
                assert found, f"line {block.line}: {wanted!r} is not in\n" + "\n".join(printed)
                at = found[0] + 1
            seen += 1
    return seen


@pytest.mark.timeout(200)
def test_the_reports_are_those_of_the_tutorial(tmp_path: Path) -> None:
    assert follow(TUTORIAL, tmp_path) == 5
    assert list((tmp_path / ".agnt5" / "regressions").iterdir())


@pytest.mark.timeout(200)
def test_the_tests_of_the_how_to_pass(tmp_path: Path) -> None:
    assert follow(HOW_TO, tmp_path) == 1
