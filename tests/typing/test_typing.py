"""mypy and basedpyright agree with what ``users.py`` says of the public surface."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
USERS = HERE / "users.py"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.timeout(120)
def test_mypy():
    """Strict; an ``ignore`` that is not needed is an error, so each is an expected one."""
    pytest.importorskip("mypy")
    cache = ROOT / ".mypy_cache" / "users"
    found = run(
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--warn-unused-ignores",
        f"--cache-dir={cache}",
        str(USERS),
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.timeout(120)
def test_basedpyright(tmp_path):
    """As a user would configure it: strict rules, and nothing reported that is not wrong."""
    checker = shutil.which("basedpyright", path=str(Path(sys.executable).parent))
    if checker is None:
        pytest.skip("basedpyright is not installed")
    settings = {
        "include": [str(USERS)],
        "extraPaths": [str(ROOT / "src")],
        "pythonVersion": "3.11",
        "typeCheckingMode": "standard",
        "enableTypeIgnoreComments": True,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    config = tmp_path / "pyrightconfig.json"
    config.write_text(json.dumps(settings))
    found = run(checker, "--project", str(config), "--pythonpath", sys.executable)
    assert found.returncode == 0, found.stdout + found.stderr
