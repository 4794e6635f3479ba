"""The examples keep their promises; they say so by their exit status."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.docs.pages import ROOT

LICENCES = ("permissive", "weak copyleft", "strong copyleft", "unknown")


def run(example: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AGNT5_")}
    demo = subprocess.run(
        [sys.executable, str(ROOT / "examples" / example)],
        env={**kept, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        check=False,
        text=True,
        timeout=50,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "BROKEN" not in demo.stdout
    return demo.stdout


def test_the_demo_keeps_its_promises() -> None:
    said = run("license_audit.py")
    assert "0 completed steps repeated" in said
    questions, answers = (re.findall(rf"^   {sign} (.+)$", said, re.MULTILINE) for sign in ">=")
    assert sum(line.startswith("SELECT") for line in questions) == 3
    read, after_the_kill = map(int, answers[0].split(" | "))
    assert 0 < after_the_kill < read
    assert all(answer.rpartition(" | ")[2] in LICENCES for answer in answers[1:-1])
    assert float(answers[-1].rpartition(" | ")[2]) > 0


def test_the_books_of_the_order_desk_balance() -> None:
    said = run("order_desk.py")
    assert "10 runs of 20 deliveries; 4 wait for a person" in said
    assert "6 lamps gone, 82000 cents in the till: ok" in said
