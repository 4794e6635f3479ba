"""The examples keep their promises; they say so by their exit status."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.docs.pages import ROOT


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
    assert "0 completed steps repeated" in run("license_audit.py")


def test_the_books_of_the_order_desk_balance() -> None:
    said = run("order_desk.py")
    assert "10 runs of 20 deliveries; 4 wait for a person" in said
    assert "6 lamps gone, 82000 cents in the till: ok" in said
