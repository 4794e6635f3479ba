"""The store of the how-to page passes the contract, and its faulty sister gets the report shown."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.docs.pages import ROOT, blocks, programs

PAGE = ROOT / "docs" / "howto" / "write-a-store.md"


# What is forced to a disk does not matter here, and a busy disk takes its time.
QUICK_DISK = "import os\n\nos.fsync = lambda _: None\n"


def python(folder, *arguments):
    for name, source in programs(PAGE).items():
        (folder / name).write_text(source)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{folder}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_the_store_passes(tmp_path):
    (tmp_path / "conftest.py").write_text(QUICK_DISK)
    ran = python(tmp_path, "-m", "pytest", "-q", "-W", "error", "test_store.py", "test_trouble.py")
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert " passed" in ran.stdout


def test_the_report_is_the_one_of_the_page(tmp_path):
    (shown,) = [block.source for block in blocks(PAGE) if block.language == "text"]
    assert python(tmp_path, "find.py").stdout == shown


def test_it_can_be_killed(tmp_path):
    ran = python(tmp_path, "kill.py")
    assert ran.returncode == 0, ran.stdout[-3000:]


def test_a_runtime_takes_it(tmp_path):
    ran = python(tmp_path, "app.py")
    assert (ran.returncode, ran.stdout) == (0, "5\n")
