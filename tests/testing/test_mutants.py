"""Every seeded bug is found within the default budget; without it, nothing is."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from agnt5.testing import DisprovedError, crash_everywhere

NAMES = sorted(path.stem for path in (Path(__file__).parent / "mutants").glob("*.py"))
EXAMPLES = {"night": 1000, "ci": 20}.get(os.environ.get("HYPOTHESIS_PROFILE") or "dev", 8)
"""A budget of 1,000 for what has no bug is for the night."""


def mutant(name):
    module = importlib.import_module(f"tests.testing.mutants.{name}")
    return module, {"regressions": False, **getattr(module, "ARGUMENTS", {})}


def test_there_are_enough():
    assert len(NAMES) >= 12


@pytest.mark.parametrize("name", NAMES)
def test_a_seeded_bug_is_found(name):
    module, arguments = mutant(name)
    with pytest.raises(DisprovedError) as caught:
        crash_everywhere(module.buggy, **arguments, examples=100)
    assert module.SAYS in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.timeout(1200)
def test_without_the_bug_nothing_is_found(name):
    module, arguments = mutant(name)
    verdict = crash_everywhere(module.mended, **arguments, examples=EXAMPLES)
    assert verdict.is_exhaustive
    assert verdict.tried > EXAMPLES
