"""``agnt5 check`` as a user calls it: files, settings, formats, exit codes."""

from __future__ import annotations

import json

import pytest
from tests.cli.shell import agnt5
from tests.docs.pages import ROOT, blocks

from agnt5.cli import main

BAD = """\
import asyncio
import time
from agnt5 import workflow


@workflow
async def order(ctx):
    if time.time() > 5:
        return None
    await asyncio.sleep(5)
"""
GOOD = "from agnt5 import workflow\n\n\n@workflow\nasync def calm(ctx):\n    return 1\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a bad file, a good one, and things that nobody wants to be checked."""
    for name, text in {
        "src/orders.py": BAD,
        "src/calm.py": GOOD,
        "src/notes.txt": BAD,
        ".venv/lib/orders.py": BAD,
        "env/pyvenv.cfg": "",
        "env/orders.py": BAD,
        "build/orders.py": BAD,
        "src/__pycache__/orders.py": BAD,
        "pyproject.toml": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(capsys, *arguments):
    """The exit code, and the rules that were found, by way of JSON."""
    status = main(["check", "--json", *arguments])
    return status, [each["rule"] for each in json.loads(capsys.readouterr().out)["findings"]]


def test_the_text(project):
    """Golden; a pipe gets no colours."""
    done = agnt5("check", "src", cwd=project)
    assert done.returncode == 1
    assert not done.stderr
    assert done.stdout == (
        "src/orders.py:8:8: error AG101 time.time(): a replay reads another time"
        " (in the body of workflow 'order')\n"
        "    fix: use ctx.now(), or read the clock in a step\n"
        "src/orders.py:10:11: warning AG201 asyncio.sleep(): every replay sleeps again, in memory"
        " (in the body of workflow 'order')\n"
        "    fix: use ctx.sleep(seconds), which survives a restart\n"
        "Found 1 error and 1 warning in 1 file; 2 files checked.\n"
    )


def test_nothing_found(project):
    done = agnt5("check", "src/calm.py", cwd=project)
    assert (done.returncode, done.stdout) == (0, "1 file checked, nothing found.\n")


def test_colours_are_for_terminals_that_want_them(project):
    forced = agnt5("check", "src", cwd=project, FORCE_COLOR="1", TERM="xterm")
    assert "\x1b[" in forced.stdout
    refused = agnt5("check", "src", cwd=project, FORCE_COLOR="1", TERM="xterm", NO_COLOR="1")
    assert "\x1b[" not in refused.stdout
    assert refused.stdout == agnt5("check", "src", cwd=project).stdout


def test_sarif(project):
    done = agnt5("check", "--format", "sarif", cwd=project)
    assert done.returncode == 1
    log = json.loads(done.stdout)
    assert [each["ruleId"] for each in log["runs"][0]["results"]] == ["AG101", "AG201"]


def test_folders_of_others_are_left_out_and_named_files_are_not(project, capsys):
    assert checked(capsys) == (1, ["AG101", "AG201"])
    assert checked(capsys, "build/orders.py") == (1, ["AG101", "AG201"])
    assert checked(capsys, "--exclude", "orders.py") == (0, [])
    assert checked(capsys, "src", "src/orders.py", "src/") == (1, ["AG101", "AG201"])


def test_select_ignore_and_fail_on(project, capsys):
    assert checked(capsys, "--select", "AG1") == (1, ["AG101"])
    assert checked(capsys, "--ignore", "AG101,AG201") == (0, [])
    assert checked(capsys, "--ignore", "AG101", "--fail-on", "error") == (0, ["AG201"])
    assert checked(capsys, "--fail-on", "error") == (1, ["AG101", "AG201"])
    assert checked(capsys, "--fail-on", "never") == (0, ["AG101", "AG201"])


def test_settings_of_the_project(project, capsys, monkeypatch):
    table = '[tool.agnt5.check]\nselect = ["AG2"]\nfail-on = "error"\n'
    (project / "pyproject.toml").write_text(table)
    assert checked(capsys) == (0, ["AG201"])
    assert checked(capsys, "--select", "AG101") == (1, ["AG101"])
    assert checked(capsys, "--ignore", "AG201") == (0, [])
    monkeypatch.chdir(project / "src")
    assert checked(capsys) == (0, ["AG201"])
    (project / "pyproject.toml").write_text('[tool.agnt5.check]\nexclude = ["src/or*"]\n')
    assert checked(capsys) == (0, [])
    assert checked(capsys, str(project / "src")) == (0, [])
    assert checked(capsys, "..") == (0, [])
    (project / "other.toml").write_text('[tool.agnt5.check]\nexclude = ["orders.py"]\n')
    assert checked(capsys, "--config", "../other.toml") == (0, [])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "agnt5: there is no file or folder 'nowhere'"),
        (["--select", "X1"], "agnt5: CONFIGURATION: there is no rule 'X1'"),
        (["--config", "nowhere.toml"], "nowhere.toml cannot be read as TOML"),
        (["--config", "src/orders.py"], "cannot be read as TOML"),
        (["--json", "--format", "sarif"], "--json and --format sarif exclude each other"),
    ],
)
def test_wrong_usage(project, capsys, arguments, says):
    assert main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("tool", ["agnt5 = 1", "[tool.agnt5]\ncheck = 1", "[tool]\nagnt5 = 1"])
def test_settings_that_are_no_table(project, capsys, tool):
    (project / "pyproject.toml").write_text(tool if "[" in tool else f"tool = 1\n{tool}")
    assert main(["check"]) == 2
    assert "must be a table" in capsys.readouterr().err


def test_files_that_cannot_be_read_as_python(project, capsys):
    (project / "src" / "latin.py").write_bytes(
        "# -*- coding: latin-1 -*-\nx = 'ä'\n".encode("latin-1")
    )
    (project / "src" / "broken.py").write_bytes(b"x = '\xe4'\n")
    (project / "src" / "odd.py").write_bytes(b"# coding: nonsense\n")
    (project / "src" / "huge.py").write_text("#" * 5_000_001)
    status = main(["check", "src/huge.py"])
    assert (status, "not looked at" in capsys.readouterr().err) == (2, True)
    (project / "src" / "huge.py").unlink()
    main(["check", "--json", "--select", "AG001", "src"])
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [(each["path"], each["rule"]) for each in found] == [
        ("src/broken.py", "AG001"),
        ("src/odd.py", "AG001"),
    ]


def test_a_module_is_read_and_never_imported(project, capsys):
    (project / "src" / "loud.py").write_text("open('imported', 'w').close()\n" + GOOD)
    assert checked(capsys, "--exclude", "orders.py") == (0, [])
    assert not (project / "imported").exists()


def test_the_console_blocks_of_the_docs(tmp_path):
    """What the pages show is what the command prints."""
    reference, howto = (
        [each.source for each in blocks(ROOT / "docs" / page) if each.language == "console"]
        for page in ("reference/check.md", "howto/check.md")
    )
    (tmp_path / "broken.py").write_text("x = total(\n")
    shown = reference[0].split("\n", 1)
    assert shown[0] == "$ agnt5 check broken.py"
    assert agnt5("check", "broken.py", cwd=tmp_path).stdout == shown[1]
    (tmp_path / "broken.py").unlink()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "orders.py").write_text(
        "import asyncio\nimport time\nfrom agnt5 import workflow\n\n@workflow\n"
        "async def order(ctx):\n    if time.time() > 5:\n        return None\n"
        "    return await asyncio.sleep(5)\n"
    )
    assert agnt5("check", "src", cwd=tmp_path).stdout == howto[0].split("\n", 2)[2]
