"""``make demo`` keeps its promises; it says so by its exit status."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.docs.pages import ROOT


def test_the_demo_keeps_its_promises() -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AGNT5_")}
    demo = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "license_audit.py")],
        env={**kept, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        check=False,
        text=True,
        timeout=50,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "0 completed steps repeated" in demo.stdout
    assert "BROKEN" not in demo.stdout
