"""The two distributions of the name do not run mixed."""

import shutil
import subprocess
import sys
from pathlib import Path

import agnt5


def test_a_mixed_installation_is_refused(tmp_path):
    """A file of the other distribution among ours: the import says so, and what to do."""
    folder = tmp_path / "agnt5"
    shutil.copytree(
        Path(agnt5.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__")
    )
    command = [sys.executable, "-c", "import agnt5; print(agnt5.__file__)"]
    env = {"PYTHONPATH": str(tmp_path)}
    alone = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert str(folder) in alone.stdout
    (folder / "_retry_utils.py").write_text("")
    mixed = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert mixed.returncode == 1
    assert "ImportError" in mixed.stderr
    assert "pip uninstall agnt5 agnt5-actors" in mixed.stderr
