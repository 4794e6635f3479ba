"""How every command behaves: help, exit codes, errors in a line or two, colours, completion."""

from __future__ import annotations

import importlib
import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from tests.cli.shell import agnt5
from tests.docs.pages import ROOT

from agnt5.cli import application, main
from agnt5.cli.application import run
from agnt5.cli.commands import COMMANDS
from agnt5.cli.exits import CommandError, Exit
from agnt5.cli.output import print_text
from agnt5.exceptions import ConfigurationError, RunNotFoundError, StoreError
from agnt5.opened_stores import open_log


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_there_and_takes_json(name):
    module, _, attribute = COMMANDS[name].target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert command.name == name
    assert any("--json" in parameter.opts for parameter in command.params)
    assert command.get_short_help_str(100) == COMMANDS[name].summary or command.help


def test_help_lists_the_commands_and_the_exit_codes(tmp_path):
    done = agnt5("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert not done.stderr
    for name, entry in COMMANDS.items():
        assert name in done.stdout
        assert entry.summary in done.stdout
    assert "Exit codes: 0 fine, 1 findings" in done.stdout


def test_version(tmp_path):
    done = agnt5("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout.split()[0]) == (0, "agnt5-actors")


def test_the_script_is_the_module(tmp_path):
    script = f"{sys.prefix}/bin/agnt5"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == agnt5("--version", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chek"], "agnt5: there is no command 'chek' (did you mean 'check'?). See: agnt5 --help"),
        (["--nonsense"], "agnt5: no such option"),
        (["check", "--format", "xml"], "See: agnt5 check --help"),
        (["rebuild-index", "a", "b"], "agnt5: got unexpected extra argument"),
        (["rebuild-index", "a", "--store", "b"], "agnt5: the store is given twice"),
        (["completion", "--jsn"], "mean '--json'? See: agnt5 completion --help"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, says, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (CommandError("no such thing", Exit.FOUND), 1, "agnt5: no such thing\n"),
        (CommandError("what?"), 2, "agnt5: what?\n"),
        (ConfigurationError("bad"), 2, "agnt5: CONFIGURATION: bad\n"),
        (StoreError("disk"), 3, "agnt5: DURABILITY_UNAVAILABLE: disk\n"),
        (RunNotFoundError("r-1"), 1, "r-1"),
        (ZeroDivisionError("oh"), 4, "agnt5: a bug of agnt5: ZeroDivisionError: oh\n"),
        (KeyboardInterrupt(), 130, "agnt5: interrupted\n"),
        (click.Abort(), 130, "agnt5: interrupted\n"),
        (click.FileError("x", "gone"), 2, "agnt5: Could not open file 'x': gone\n"),
    ],
)
def test_every_end_has_its_exit_code(error, status, says, capsys):
    @click.command()
    def failing():
        raise error

    assert run([], failing) == status
    out, err = capsys.readouterr()
    assert not out
    assert says in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2


def test_the_traceback_is_there_on_request(monkeypatch, capsys):
    @click.command()
    def failing():
        raise ZeroDivisionError("oh")

    monkeypatch.setenv("AGNT5_TRACEBACK", "1")
    assert run([], failing) == 4
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.index("Traceback") < err.index("agnt5: a bug of agnt5")


def test_a_reader_that_leaves_is_no_error(tmp_path):
    """``agnt5 check --json | head -1``, with more output than a pipe holds."""
    body = "".join(f"    x{n} = time.time()\n    use(x{n})\n" for n in range(2000))
    (tmp_path / "flows.py").write_text(
        f"import time\nfrom agnt5 import workflow\n@workflow\nasync def f(ctx):\n{body}"
    )
    command = f"{sys.executable} -m agnt5 check --json | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "{\n"
    assert not done.stderr


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")
@pytest.mark.parametrize("arguments", [["check"], ["check", "--json"], ["completion", "bash"]])
def test_a_full_disk_behind_the_output_is_no_bug_of_agnt5(tmp_path, arguments):
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "agnt5", *arguments],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "agnt5: the output cannot be written: No space left on device\n"


def test_a_reader_of_text_that_leaves_is_no_error(monkeypatch):
    class Pipe(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    @click.command()
    def telling():
        print_text("text")

    monkeypatch.setattr(sys, "stdout", Pipe())
    monkeypatch.setattr(application, "_reader_is_gone", lambda: Exit.OK)
    assert run([], telling) == 0


def test_without_a_command_the_commands_are_listed(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("Usage: agnt5 ")
    assert "rebuild-index" in err


def test_without_the_extra_it_says_how_to_install_it(tmp_path):
    for hidden in (["click"], ["rich"]):
        done = agnt5("check", cwd=tmp_path, without=hidden)
        assert done.returncode == 2
        assert done.stderr == (
            "agnt5: this command needs the extra 'cli': pip install 'agnt5-actors[cli]'\n"
        )


@pytest.mark.parametrize("hidden", [(), ("click", "rich")])
def test_rebuild_index_works_with_the_extra_and_without(tmp_path, hidden):
    address = f"sqlite:///{tmp_path}/a.db"
    done = agnt5("rebuild-index", address, cwd=tmp_path, without=hidden)
    assert done.returncode == 3
    assert "there is no store" in done.stderr
    open_log(address).close()
    done = agnt5("rebuild-index", f"{tmp_path}/a.db", cwd=tmp_path, without=hidden)
    assert done.stdout == f"{address}: the index of 0 runs was built again\n"
    done = agnt5("rebuild-index", "--json", address, cwd=tmp_path, without=hidden)
    assert json.loads(done.stdout) == {"store": address, "runs": 0}
    done = agnt5("rebuild-index", f"sqlite:///{tmp_path}", cwd=tmp_path, without=hidden)
    assert done.returncode == 3
    assert done.stderr.startswith("agnt5: DURABILITY_UNAVAILABLE: ")
    assert len(done.stderr.splitlines()) == 1
    done = agnt5("rebuild-index", "--store", f"{tmp_path}/a.db", cwd=tmp_path, without=hidden)
    assert done.stdout == f"{address}: the index of 0 runs was built again\n"
    assert agnt5("rebuild-index", "mysql://x", cwd=tmp_path, without=hidden).returncode == 2
    done = agnt5("rebuild-index", cwd=tmp_path, without=hidden, AGNT5_STORE="a.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(" For the file a.db: sqlite:///a.db.\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tmp_path, shell):
    script = agnt5(cwd=tmp_path, _AGNT5_COMPLETE=f"{shell}_source")
    assert script.returncode == 0
    assert "_AGNT5_COMPLETE" in script.stdout


def test_commands_are_completed(tmp_path):
    done = agnt5(
        cwd=tmp_path, _AGNT5_COMPLETE="bash_complete", COMP_WORDS="agnt5 ch", COMP_CWORD="1"
    )
    assert done.stdout.split() == ["plain,check"]


def test_help_imports_no_command_and_nothing_heavy(tmp_path):
    script = (
        "import sys; from agnt5.cli import main; main(['--help']);"
        "print(sorted(m for m in sys.modules if m.startswith('agnt5.cli.') and 'command' in m"
        " or m in ('asyncio', 'pydantic', 'rich', 'agnt5.runtime')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "['agnt5.cli.commands']"


def test_the_hook_for_pre_commit_installs_what_the_extra_does():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    assert "entry: agnt5 check\n" in hook
    needed = json.dumps(project["optional-dependencies"]["cli"])
    assert f"additional_dependencies: {needed}" in hook


def test_the_group_is_what_click_expects():
    assert application.agnt5.get_command(click.Context(application.agnt5), "nonsense") is None
