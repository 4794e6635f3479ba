"""A filled store: made once, copied for each test."""

from __future__ import annotations

import json

import pytest
from tests.cli import desk

from agnt5.cli import main


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("desk") / "desk.db"
    desk.make(path)
    return path


@pytest.fixture
def path(made, tmp_path, monkeypatch):
    """A store of one's own, that commands find by themselves."""
    copied = desk.copy_of(made, tmp_path / "desk.db")
    monkeypatch.setenv("AGNT5_STORE", f"sqlite:///{copied}")
    monkeypatch.chdir(tmp_path)
    return copied


@pytest.fixture
def says(capsys):
    """Runs a command that succeeds; what it says, with ``--json`` as a value."""

    def run(*arguments, status=0):
        assert main(arguments) == status, capsys.readouterr().err
        out, err = capsys.readouterr()
        assert not err, err
        return json.loads(out) if "--json" in arguments else out

    return run


@pytest.fixture
def fails(capsys):
    """Runs a command that does not; what it says of it, which is a line or two."""

    def run(*arguments, status):
        assert main(arguments) == status
        out, err = capsys.readouterr()
        assert not out
        assert "Traceback" not in err
        assert len(err.splitlines()) <= 2
        return err

    return run
