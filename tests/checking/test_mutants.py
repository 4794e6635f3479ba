"""Bugs that somebody else seeded for the proof kit: those that can be seen without running."""

from __future__ import annotations

import ast

import pytest
from tests.docs.pages import ROOT, label

from agnt5.checking import check_sources

FOLDER = ROOT / "tests" / "testing" / "mutants"
SEEN = {
    "cached_across_lives": {"AG501"},
    "dict_mutated_by_closure": {"AG502"},
    "key_made_anew": {"AG504"},
    "key_used_twice": {"AG505"},
    "order_of_a_set_of_texts": {"AG106"},
    "set_iteration": {"AG106"},
    "state_in_a_global": {"AG501"},
    "timeout_in_real_time": {"AG202"},
    "unrecorded_random": {"AG102"},
    "unrecorded_time": {"AG101"},
}
"""The others are about what a service does, and about races: they need the kit."""
PATHS = sorted(path for path in FOLDER.glob("*.py") if path.stem != "__init__")


def test_there_are_mutants():
    assert SEEN.keys() <= {path.stem for path in PATHS}


@pytest.mark.parametrize("path", PATHS, ids=label)
def test_a_bug_is_found_where_it_is_and_its_mending_is_clean(path):
    code = path.read_text(encoding="utf-8")
    found = check_sources({path.name: code})
    assert {each.rule for each in found} == SEEN.get(path.stem, set())
    (buggy,) = [
        node
        for node in ast.parse(code).body
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("buggy_")
    ]
    assert all(buggy.lineno <= each.line <= (buggy.end_lineno or 0) for each in found)
