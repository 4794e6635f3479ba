"""What a person reads when the code no longer fits the log."""

from __future__ import annotations

import pytest
from tests.events.run.spec import QUEUED, awaited, question, step, timer

from agnt5.events.run import facts as f
from agnt5.events.run.report import Divergence, describe, divergence_report


def report(expected=None, asked=(), how="asked for something else") -> str:
    found = Divergence(how, expected, tuple(asked))
    return divergence_report("r1", "order", "app.py:10", found)


def test_it_names_the_run_the_code_and_what_happened():
    first, *_ = report().splitlines()
    assert first == (
        "run r1: the code of 'order' (app.py:10) no longer asks for what its log holds;"
        " it asked for something else."
    )


def test_it_says_what_was_expected_and_what_was_asked_with_both_lines():
    text = report(step(":charge#0", line="app.py:12"), [(":refund#0", "app.py:13")])
    assert "  expected: step ':charge#0', at app.py:12\n" in text
    assert "  asked for: ':refund#0', at app.py:13\n" in text


def test_it_names_the_nearest_match():
    asked = [(":sleep#0", None), (":chrage#0", None)]
    text = report(step(":charge#0"), asked)
    assert "  nearest match: ':chrage#0' (recorded as ':charge#0')" in text


@pytest.mark.parametrize("asked", [(), [("/3/1:zzz#0", None)]])
def test_nothing_near_is_not_mentioned(asked):
    assert "nearest" not in report(step(":charge#0"), asked)


def test_it_is_short():
    asked = [(f":step#{n}", None) for n in range(50)]
    assert report(step(":other#0"), asked).count("asked for: ") == 5


def test_a_body_that_asks_for_nothing():
    text = report(timer(":sleep#0"), how="ended")
    assert "it ended." in text
    assert "  asked for: nothing else\n" in text


def test_it_names_the_ways_out():
    text = report()
    for word in ("Nothing is lost", "restore the call", "cancel the run", "Usual causes"):
        assert word in text


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (None, "nothing more"),
        (step("k", line="a.py:1"), "step 'k', at a.py:1"),
        (step("k"), "step 'k'"),
        (f.TimerScheduled(key="k", due_at=1, line="a.py:2"), "sleep or timeout 'k', at a.py:2"),
        (awaited("k"), "signal 'k'"),
        (question("k"), "question 'k'"),
        (f.OperationCancelled(key="k"), "that the body stops waiting for 'k'"),
        (f.SignalReturned(key="k", signal_id="1"), "that the body stops waiting for 'k'"),
        (QUEUED, "RunQueued"),
    ],
)
def test_facts_in_words(fact, expected):
    assert describe(fact) == expected
