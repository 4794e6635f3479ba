"""Contracts are what a naive reading of their formulas over the whole trace says."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.contracts import (
    ContractEvent,
    Verdict,
    always,
    at_least,
    at_most,
    at_most_once,
    eventually,
    exactly,
    exactly_once,
    fact,
    named,
    never,
    run,
    step,
)
from agnt5.contracts.observed import Observer
from agnt5.events.run import facts as f
from agnt5.exceptions import ConfigurationError

NAMES = "abc"
NAME = st.sampled_from(NAMES)

# A trace: what happened, and how many seconds after the one before.
TRACES = st.lists(st.tuples(NAME, st.integers(0, 3)), max_size=9)


def history(trace, end: bool = True) -> list[tuple[f.RunFact, int]]:
    at = 0
    found: list[tuple[f.RunFact, int]] = []
    for name, later in trace:
        at += later * 1_000_000
        found.append(
            (f.EventEmitted(key=f"k{len(found)}", event_type=name, payload=len(found)), at)
        )
    if end:
        found.append((f.RunCompleted(), at))
    return found


# Patterns as data; how they are said, and what they mean.

PATTERNS = st.recursive(
    NAME.map(lambda name: ("is", name)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or", "after", "before"]), inner, inner),
        st.tuples(st.sampled_from(["not", "again"]), inner),
        st.tuples(st.just("between"), inner, inner, inner),
        st.tuples(st.just("within"), st.integers(0, 4), inner, inner),
    ),
    max_leaves=5,
)


def said(p: tuple) -> Any:
    match p:
        case ("is", name):
            return named(name)
        case ("and", a, b):
            return said(a) & said(b)
        case ("or", a, b):
            return said(a) | said(b)
        case ("not", a):
            return ~said(a)
        case ("again", a):
            return said(a).again
        case ("after", a, b):
            return said(a).after(said(b))
        case ("before", a, b):
            return said(a).before(said(b))
        case ("between", a, b, c):
            return said(a).between(said(b), said(c))
        case ("within", seconds, a, b):
            return said(a).within(seconds).after(said(b))


def means(p: tuple, trace: list[tuple[str, int]], i: int) -> bool:
    """Whether a pattern holds at a place of a trace of names and times, by looking at all of it."""
    match p:
        case ("is", name):
            return trace[i][0] == name
        case ("and", a, b):
            return means(a, trace, i) and means(b, trace, i)
        case ("or", a, b):
            return means(a, trace, i) or means(b, trace, i)
        case ("not", a):
            return not means(a, trace, i)
        case ("again", a):
            return means(("after", a, a), trace, i)
        case ("after", a, b):
            return means(a, trace, i) and any(means(b, trace, j) for j in range(i))
        case ("before", a, b):
            return means(a, trace, i) and not any(means(b, trace, j) for j in range(i))
        case ("between", a, b, c):
            return means(a, trace, i) and any(
                means(b, trace, j) and not any(means(c, trace, k) for k in range(j + 1, i))
                for j in range(i)
            )
        case ("within", seconds, a, b):
            return means(a, trace, i) and any(
                means(b, trace, j) and trace[i][1] - trace[j][1] <= seconds * 1_000_000
                for j in range(i)
            )
    raise AssertionError(p)


SECONDS = st.none() | st.integers(0, 4)
CONTRACTS = st.recursive(
    st.one_of(
        st.tuples(st.sampled_from(["never", "always"]), PATTERNS),
        st.tuples(st.just("eventually"), SECONDS, PATTERNS),
        st.tuples(st.just("follows"), SECONDS, PATTERNS, PATTERNS),
        st.tuples(st.just("always before"), PATTERNS, PATTERNS),
        st.tuples(st.just("always between"), PATTERNS, PATTERNS, PATTERNS),
        st.tuples(st.sampled_from(["at most", "at least", "exactly"]), st.integers(0, 3), PATTERNS),
    ),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["all", "any"]), inner, inner), st.tuples(st.just("not"), inner)
    ),
    max_leaves=4,
)


def contract(c: tuple) -> Any:
    match c:
        case ("never", p):
            return never(said(p))
        case ("always", p):
            return always(said(p))
        case ("eventually", seconds, p):
            found = eventually(said(p))
            return found if seconds is None else found.within(seconds)
        case ("follows", seconds, p, q):
            found = eventually(said(p))
            return (found if seconds is None else found.within(seconds)).after(said(q))
        case ("always before", p, q):
            return always(said(p)).before(said(q))
        case ("always between", p, q, r):
            return always(said(p)).between(said(q), said(r))
        case ("at most", n, p):
            return at_most(n, said(p))
        case ("at least", n, p):
            return at_least(n, said(p))
        case ("exactly", n, p):
            return exactly(n, said(p))
        case ("all", a, b):
            return contract(a) & contract(b)
        case ("any", a, b):
            return contract(a) | contract(b)
        case ("not", a):
            return ~contract(a)


def holds(c: tuple, trace: list[tuple[str, int]]) -> bool:
    """Whether a contract holds of a whole, finite trace."""
    places = range(len(trace))

    def at(p: tuple) -> list[int]:
        return [i for i in places if means(p, trace, i)]

    def in_time(i: int, j: int, seconds: int | None) -> bool:
        return seconds is None or trace[j][1] - trace[i][1] <= seconds * 1_000_000

    match c:
        case ("never", p):
            return not at(p)
        case ("always", p):
            return len(at(p)) == len(trace)
        case ("eventually", seconds, p):
            return any(in_time(0, j, seconds) for j in at(p))
        case ("follows", seconds, p, q):
            return all(any(j > i and in_time(i, j, seconds) for j in at(p)) for i in at(q))
        case ("always before", p, q):
            return all(any(j < i for j in at(p)) for i in at(q))
        case ("always between", p, q, r):
            return all(
                any(i < j < k for j in at(p))
                for i in at(q)
                for k in at(r)
                if i < k and not any(i < j < k for j in at(r))
            )
        case ("at most", n, p):
            return len(at(p)) <= n
        case ("at least", n, p):
            return len(at(p)) >= n
        case ("exactly", n, p):
            return len(at(p)) == n
        case ("all", a, b):
            return holds(a, trace) and holds(b, trace)
        case ("any", a, b):
            return holds(a, trace) or holds(b, trace)
        case ("not", a):
            return not holds(a, trace)
    raise AssertionError(c)


def names_and_times(facts: list[tuple[f.RunFact, int]]) -> list[tuple[str, int]]:
    return [(getattr(each, "event_type", ""), at) for each, at in facts]


@given(CONTRACTS, TRACES)
def test_a_contract_is_what_its_formula_says_of_the_whole_trace(c, trace):
    facts = history(trace)
    expected = holds(c, names_and_times(facts))
    checked = contract(c).check(facts)
    assert checked.verdict is (Verdict.SATISFIED if expected else Verdict.VIOLATED)
    assert (checked.violation is not None) == (not expected)


A, B, C = (("is", name) for name in NAMES)
FLAT_PATTERNS = [
    A,
    ("not", A),
    ("again", A),
    ("and", A, ("after", A, B)),
    ("or", A, B),
    ("after", A, B),
    ("after", A, A),
    ("before", A, B),
    ("between", A, B, C),
    ("between", A, ("or", A, B), ("or", A, C)),
    ("between", A, B, ("or", B, C)),
    ("within", 2, A, B),
    ("within", 1, A, A),
    ("after", ("within", 2, A, B), C),
]
FLAT_CONTRACTS = [
    *(("never", p) for p in FLAT_PATTERNS),
    *(("eventually", seconds, A) for seconds in (None, 0, 2)),
    *(("follows", seconds, A, p) for seconds in (None, 0, 2) for p in (A, B, ("or", A, B))),
    ("follows", 2, ("or", A, C), ("or", A, B)),
    ("always", ("or", A, B)),
    ("always before", A, B),
    ("always before", A, A),
    ("always between", A, B, C),
    ("always between", A, B, B),
    *((count, n, A) for count in ("at most", "at least", "exactly") for n in (0, 1, 2)),
    *((both, ("never", A), ("eventually", None, B)) for both in ("all", "any")),
    ("any", ("at least", 1, A), ("never", B)),
    ("all", ("at least", 1, A), ("never", B)),
    ("not", ("follows", 2, A, B)),
]


@pytest.mark.parametrize("c", FLAT_CONTRACTS, ids=str)
def test_every_short_trace(c):
    """Names of up to four events, one second after the other: each trace and each beginning."""
    monitor = contract(c)
    for length in range(5):
        for names in itertools.product(NAMES, repeat=length):
            facts = history([(name, 1) for name in names])
            expected = holds(c, names_and_times(facts))
            verdict = monitor.check(facts).verdict
            assert verdict is (Verdict.SATISFIED if expected else Verdict.VIOLATED), names
            assert monitor.check(facts[:-1]).verdict in {verdict, Verdict.PENDING}, names


@pytest.mark.parametrize(
    ("c", "names", "expected"),
    [
        # What is known is said at once.
        (("never", A), "ba", Verdict.VIOLATED),
        (("eventually", None, A), "ba", Verdict.SATISFIED),
        (("eventually", 1, A), "bbb", Verdict.VIOLATED),
        (("follows", 1, A, B), "bcc", Verdict.VIOLATED),
        (("at most", 1, A), "aa", Verdict.VIOLATED),
        (("at least", 2, A), "aa", Verdict.SATISFIED),
        (("any", ("eventually", None, A), ("never", B)), "a", Verdict.SATISFIED),
        (("all", ("eventually", None, A), ("never", B)), "b", Verdict.VIOLATED),
        (("not", ("never", A)), "a", Verdict.SATISFIED),
        # What is not known is not said.
        (("never", A), "b", Verdict.PENDING),
        (("eventually", None, A), "b", Verdict.PENDING),
        (("follows", 1, A, B), "ba", Verdict.PENDING),
        (("any", ("eventually", None, A), ("never", B)), "b", Verdict.PENDING),
        (("all", ("eventually", None, A), ("never", B)), "a", Verdict.PENDING),
    ],
)
def test_a_verdict_comes_as_soon_as_it_is_known(c, names, expected):
    facts = history([(name, 1) for name in names], end=False)
    assert contract(c).check(facts).verdict is expected


@given(CONTRACTS, TRACES, TRACES)
def test_a_verdict_that_is_not_pending_is_final(c, trace, more):
    early = contract(c).check(history(trace, end=False)).verdict
    late = contract(c).check(history([*trace, *more])).verdict
    assert early in {Verdict.PENDING, late}
    turned = contract(("not", c)).check(history(trace, end=False)).verdict
    assert turned is early.turned


@given(CONTRACTS, TRACES)
def test_a_monitor_changes_no_state_that_it_was_given(c, trace):
    monitor, observer = contract(c), Observer("r")
    events = [observer.see(each, at) for each, at in history(trace)]
    states = [monitor.begin()]
    for event in events:
        before = repr(states[-1])
        states.append(monitor.step(states[-1], event))
        assert repr(states[-2]) == before
    again = monitor.begin()
    for event, expected in zip(events, states[1:], strict=True):
        again = monitor.step(again, event)
        assert again == expected


@given(PATTERNS, TRACES)
def test_the_state_of_a_monitor_does_not_grow(p, trace):
    monitor, observer = never(said(p)), Observer("r")
    state = monitor.begin()
    size = len(repr(state))
    for each, at in history([*trace] * 20):
        state = monitor.step(state, observer.see(each, at))
    assert len(repr(state)) < size * 8 + 40


@given(st.lists(st.tuples(NAME, st.integers(0, 2)), max_size=12))
def test_per_value_is_the_contract_on_the_events_of_each_value(trace):
    facts = history([(name, 1) for name, _ in trace])
    values = {i: value for i, (_, value) in enumerate(trace)}

    def value_of(event: ContractEvent) -> int | None:
        return values.get(event.payload) if isinstance(event.payload, int) else None

    whole = (at_most_once("a") & eventually("b").after("a")).per(value_of).check(facts)
    parts = [
        [(name, 1) for name, value in trace if value == wanted] for wanted in set(values.values())
    ]
    each = [
        (at_most_once("a") & eventually("b").after("a")).check(history(part)).verdict
        for part in parts
    ]
    assert whole.is_violated == (Verdict.VIOLATED in each)


def charge_and_refund() -> list[tuple[f.RunFact, int]]:
    return [
        (f.RunQueued(component="w", kind="workflow", input={}), 0),
        (f.RunStarted(definition="d"), 0),
        (f.StepScheduled(key=":refund#0", name="refund"), 1),
        (f.StepCompleted(key=":refund#0", output=5), 2),
        (f.StepScheduled(key=":charge#0", name="charge", recovery="ask"), 3),
        (f.StepStarted(key=":charge#0", attempt=0), 3),
        (f.StepAttemptFailed(key=":charge#0", attempt=0, error="no", retry_at=4), 4),
        (f.StepStarted(key=":charge#0", attempt=1), 4),
        (f.StepCompleted(key=":charge#0", output=7), 5),
        (f.RunCompleted(), 6),
    ]


def test_a_violation_names_the_run_the_contract_and_the_event():
    charge, refund = step("charge"), step("refund")
    checked = never(charge.after(refund)).check(charge_and_refund())
    assert checked.violation.event.version == 9
    text = (
        "run  violates never(step('charge').after(step('refund'))): event 9, StepCompleted"
        " 'charge' (:charge#0)"
    )
    assert str(checked.violation) == text
    with pytest.raises(AssertionError, match="violates never"):
        checked.require()
    missing = eventually("apology").after(refund).called("we say sorry").check(charge_and_refund())
    assert str(missing.violation) == (
        "run  violates we say sorry: at its end, event 10, RunCompleted"
    )
    at_most_once(charge).check(charge_and_refund()).require()


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (step("charge"), 1),
        (step("charge").requested, 1),
        (step("charge").attempted, 2),
        (step("refund").attempted, 1),
        (step("charge").failed, 0),
        (named("charge") | "refund", 2),
        (run("completed"), 1),
        (run("failed"), 0),
        (step("charge").where(lambda event: event.value == 7), 1),
        (step("charge").where(lambda event: event.payload == 5), 0),
    ],
)
def test_what_patterns_look_at(wanted, count):
    assert exactly(count, wanted).check(charge_and_refund()).verdict is Verdict.SATISFIED


def test_an_unfinished_history_may_be_pending():
    facts = charge_and_refund()[:-1]
    assert exactly_once(step("charge")).check(facts).verdict is Verdict.PENDING
    assert at_least(1, step("charge")).check(facts).verdict is Verdict.SATISFIED
    assert never("x").check([]).verdict is Verdict.PENDING


def test_what_cannot_be_meant_is_refused():
    for wrong in (
        lambda: never(7),
        lambda: never(""),
        lambda: run("suspended"),
        lambda: at_most(-1, "a"),
        lambda: exactly(True, "a"),
        lambda: eventually("a").within(-1),
        lambda: named("a").within(float("inf")),
        lambda: never("a").called(""),
        lambda: fact("Sneezed"),
    ):
        with pytest.raises(ConfigurationError):
            wrong()


def test_contracts_are_shown_as_they_are_written():
    shown = never("a").after("b") & (at_most_once("c") | ~always("a").between("b", "c"))
    assert repr(shown) == (
        "never('a'.after('b')) & (at_most_once('c') | ~(always('a').between('b', 'c')))"
    )
    assert repr(eventually("a").within(60).after("b")) == "eventually('a').within(60).after('b')"
