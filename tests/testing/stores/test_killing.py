"""A process that dies while it writes: what it was told is there; a store that lies is found."""

from __future__ import annotations

import pytest
from tests.testing.stores.line_log import PAGE

from agnt5.exceptions import ConfigurationError
from agnt5.testing.stores import StoreConformanceError, check_killed

FORGETFUL = """
from line_log import LineLog

class Forgetful(LineLog):
    def write(self, line):
        if b'"kind": "appends"' not in line:
            super().write(line)
"""


@pytest.fixture
def programs_of_the_page(tmp_path, monkeypatch):
    from tests.docs.pages import programs

    for name, source in programs(PAGE).items():
        (tmp_path / name).write_text(source)
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)


def test_sqlite_loses_nothing(tmp_path):
    check_killed("agnt5.events.stores.sqlite:SqliteLog", str(tmp_path / "a.db"))


def test_a_store_that_forgets_is_found(tmp_path, programs_of_the_page):
    check_killed("line_log:LineLog", str(tmp_path / "a"))
    with pytest.raises(StoreConformanceError, match="was told that"):
        check_killed("forgetful:Forgetful", str(tmp_path / "b"))


def test_a_process_that_ends_by_itself(tmp_path):
    with pytest.raises(StoreConformanceError, match="ended by itself.*after 0 acknowledged"):
        check_killed("builtins:open", str(tmp_path / "missing" / "a"))


@pytest.mark.parametrize("opener", ["", "agnt5", "nowhere:open", "builtins:no_such"])
def test_an_opener_that_is_not_there(opener, tmp_path):
    with pytest.raises(ConfigurationError, match="module:name"):
        check_killed(opener, str(tmp_path / "a"))
