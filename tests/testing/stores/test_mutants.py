"""Every seeded bug is found within the budget that a user has who says nothing."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from tests.testing.stores.line_log import FAULTS, LineLog, line_log
from tests.testing.stores.mutants import MUTANTS

from agnt5.testing.stores import LAWS, StoreConformanceError, check_store

# The profile of hypothesis for who says nothing. Always the same histories, and none from before.
DEFAULT = settings(max_examples=100, derandomize=True, database=None)


@pytest.fixture(autouse=True)
def a_quick_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(line_log, "RETRY_S", 0.002)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_seeded_bug_is_found(name, tmp_path):
    mutant, opened = MUTANTS[name], []

    def open_store(place):
        opened.append(mutant(tmp_path / place))
        return opened[-1]

    with pytest.raises(StoreConformanceError) as caught:
        check_store(
            open_store,
            faults=getattr(mutant, "faults", FAULTS),
            settings=DEFAULT,
            patience_s=0.5,
            shrink_s=0,
        )
    for log in opened:  # some are so broken that they do not close
        log.file.close()
    assert caught.value.law in LAWS
    assert caught.value.history


def test_without_a_bug_nothing_is_found(tmp_path):
    check_store(lambda place: LineLog(tmp_path / place), faults=FAULTS, max_examples=40)
