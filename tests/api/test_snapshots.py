"""Snapshots of a run at any event, and what has changed between two of them: pure values."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.events.run import strategies as s
from tests.events.run.spec import (
    ERROR,
    QUEUED,
    SECOND,
    STARTED,
    SUSPENDED,
    T0,
    awaited,
    backoff,
    question,
    received,
    started,
    step,
    timed,
    timer,
)

from agnt5 import InvalidInputError, RunDiff, RunSnapshot
from agnt5.events.projections import status_of
from agnt5.events.run import facts as f
from agnt5.events.run.annals import annals_of
from agnt5.events.run.state import Phase, fold
from agnt5.snapshots import snapshot_of

RUN = "r1"


def snapshot(*facts: f.RunFact) -> RunSnapshot:
    """Of a run that has begun at T0 + 1 µs; the first of these facts lies at T0 + 2."""
    return at(timed([QUEUED, STARTED, *facts]))


def at(history, version: int | None = None) -> RunSnapshot:
    return snapshot_of(annals_of(RUN, history[:version]), len(history))


def moment(n: int) -> datetime:
    return datetime.fromtimestamp(T0 / SECOND, UTC) + timedelta(microseconds=n)


def test_the_run_itself():
    queued = f.RunQueued(
        component="order",
        kind="workflow",
        input={"n": 1},
        idempotency_key="k",
        session_id="s",
        user_id="u",
        metadata={"tag": "x"},
        version_label="2",
        queue="mail",
        priority=3,
        parent_run_id="p",
    )
    one = at(timed([queued]))
    assert (one.version, one.last_version, one.status, one.at) == (1, 1, "queued", moment(0))
    assert (one.input, one.metadata, one.idempotency_key) == ({"n": 1}, {"tag": "x"}, "k")
    assert (one.session_id, one.user_id, one.parent_run_id) == ("s", "u", "p")
    assert (one.version_label, one.queue, one.priority) == ("2", "mail", 3)
    assert one.started_at is None
    assert snapshot().started_at == moment(1)


class TestOpenOperations:
    def test_a_step_between_two_attempts(self):
        asked = step(":a#0", input=[1], line="o.py:3", deadline=T0 + 50)
        op = snapshot(asked, backoff(":a#0", retry_at=T0 + 9)).operations[":a#0"]
        assert (op.kind, op.name, op.phase, op.line) == ("step", ":a#0", "backoff", "o.py:3")
        assert (op.attempt, op.max_attempts, op.input) == (1, 3, [1])
        assert (op.since, op.attempt_since, op.next_attempt_at) == (moment(2), moment(3), moment(9))
        assert op.deadline == moment(50)
        assert op.error["message"] == "down"

    def test_a_step_whose_second_attempt_is_under_way(self):
        retried = [step(":a#0"), backoff(":a#0"), started(":a#0", 1)]
        op = snapshot(*retried).operations[":a#0"]
        assert (op.phase, op.attempt, op.next_attempt_at) == ("running", 2, None)
        assert op.attempt_since == moment(4)

    def test_waits(self):
        child = f.ChildStarted(key=":c#0", child_run_id="c1", component="pay", input={"n": 1})
        asked = question(":q#0", due_at=T0 + 8)
        found = snapshot(timer(":t#0", T0 + 7), awaited(":s#0"), asked, child).operations
        told = {key: (op.kind, op.name, op.phase, op.attempt) for key, op in found.items()}
        assert told == {
            ":t#0": ("timer", "", "waiting", None),
            ":s#0": ("signal", "go", "waiting", None),
            ":q#0": ("question", ":q#0?", "waiting", None),
            ":c#0": ("child", "pay", "waiting", None),
        }
        assert [op.due_at for op in found.values()] == [moment(7), None, moment(8), None]

    def test_what_has_an_outcome_is_not_open(self):
        done = snapshot(step(":a#0"), f.StepCompleted(key=":a#0", output=1))
        assert (done.operations, done.outcomes) == ({}, 1)


class TestWhatCameFromOutside:
    def test_signals_that_wait(self):
        both = snapshot(received("1", payload=[1]), received("2"), awaited(":s#0", "other"))
        assert [(one.signal_id, one.payload) for one in both.signals["go"]] == [
            ("1", [1]),
            ("2", None),
        ]
        assert both.signals["go"][1].received_at == moment(3)

    def test_questions(self):
        replied = f.UserReplied(key=":a#0", answer="yes", actor="ada", channel="mail", reason="ok")
        asked = [question(f":{name}#0", assignees=["ada"]) for name in "abcd"]
        expired = f.UserInputExpired(key=":b#0", answer="no")
        given_up = f.OperationCancelled(key=":c#0")
        found = snapshot(*asked, replied, expired, given_up).questions
        assert [one.status for one in found.values()] == [
            "answered",
            "expired",
            "withdrawn",
            "open",
        ]
        first, second, *_ = found.values()
        assert (first.answer, first.actor, first.channel, first.reason) == (
            "yes",
            "ada",
            "mail",
            "ok",
        )
        assert (first.asked_at, first.answered_at, first.assignees) == (
            moment(2),
            moment(6),
            ["ada"],
        )
        assert (second.answer, second.actor) == ("no", None)

    def test_children(self):
        def child(name: str, on_parent_end: str = "cancel") -> f.ChildStarted:
            return f.ChildStarted(
                key=f":{name}#0", child_run_id=name, component="pay", on_parent_end=on_parent_end
            )

        facts = [child("a"), child("b"), child("c", "abandon"), child("d")]
        facts += [f.ChildFinished(key=":b#0", status="failed")]
        facts += [f.OperationCancelled(key=":c#0"), f.OperationCancelled(key=":d#0")]
        found = {one.child_run_id: one.status for one in snapshot(*facts).children.values()}
        # The last one was asked to stop, and has not ended yet.
        assert found == {"a": "running", "b": "failed", "c": "left alone", "d": "running"}

    def test_updates(self):
        came = [f.UpdateReceived(update_id=name, name="add", payload=name) for name in "abc"]
        answers = [
            f.UpdateAnswered(update_id="a", output=1),
            f.UpdateAnswered(update_id="b", error={"type": "builtins:ValueError", "message": "x"}),
        ]
        found = snapshot(*came, *answers).updates
        assert [one.status for one in found.values()] == ["completed", "failed", "running"]
        assert (found["a"].output, found["a"].payload) == (1, "a")
        assert found["b"].answered_at == moment(6)

    def test_state_and_markers(self):
        facts = [
            f.StateChanged(key=":state:n#0", name="n", value=1),
            f.MarkerRecorded(key="patch:x", value=True),
        ]
        found = snapshot(*facts)
        assert (found.state, found.markers, found.uncertain) == ({"n": 1}, {"patch:x": True}, [])


def test_how_it_stands_and_how_it_ended():
    assert snapshot(question(":q#0")).status == "awaiting_user_input"
    stuck = snapshot(SUSPENDED).suspension
    assert stuck is not None
    assert (stuck.reason, stuck.report, stuck.since) == (
        "nondeterminism",
        "no such step",
        moment(2),
    )
    assert snapshot(SUSPENDED, f.RunCancelled()).suspension is None
    asked = snapshot(f.RunCancelRequested(reason="enough"))
    assert (asked.status, asked.cancel_requested, asked.cancel_reason) == (
        "running",
        True,
        "enough",
    )
    parked = snapshot(timer(":t#0"), f.RunParked(wake_at=T0 + 7))
    assert (parked.parked, parked.wake_at) == (True, moment(7))
    failed = snapshot(f.RunFailed(error=ERROR))
    assert (failed.status, failed.finished_at) == ("failed", moment(2))
    assert repr(failed.decode_error()) == "OSError('down')"
    assert snapshot().decode_error() is None


def test_values_come_back_as_they_were():
    state = f.StateChanged(key=":state:n#0", name="n", value={"$": "tuple", "v": [1]})
    done = snapshot(state, f.RunCompleted(output={"$": "decimal", "v": "1.50"}))
    assert done.decode_state() == {"n": (1,)}
    assert str(done.decode_output()) == "1.50"
    assert done.decode_input() == {"n": 1}


def test_what_people_read():
    text = str(
        snapshot(
            step(":a#0"),
            f.StateChanged(key=":state:n#0", name="n", value="x" * 200),
            f.RunCancelRequested(reason="enough"),
            received("1"),
        )
    )
    assert text.splitlines() == [
        "run r1 (workflow 'order') at event 6 of 6, 1970-01-01 00:00:01 UTC: running",
        "  input: {'n': 1}",
        "  cancel requested: enough",
        "  open: step ':a#0', running, attempt 1",
        "  state n: '" + "x" * 76 + "...",
        "  signals 'go' not taken yet: 1",
    ]


@given(s.histories(s.whole))
def test_a_snapshot_says_what_the_fold_says_and_is_json(history):
    for version in range(1, len(history) + 1):
        one, state = at(history, version), fold(RUN, history[:version])
        assert (one.version, one.last_version) == (version, len(history))
        assert one.status == status_of(state)
        # A pause lies over whatever phase there is, which is told, too.
        held = one.pause is not None
        assert held is (one.status == "paused")
        assert (one.suspension is not None) is (state.phase is Phase.SUSPENDED)
        assert held or (one.suspension is not None) is (one.status == "suspended")
        assert one.state == state.values
        assert set(one.operations) == set(state.open)
        assert {name: len(line) for name, line in one.signals.items()} == {
            name: len(line) for name, line in state.signals.items()
        }
        assert str(one)
    assert RunSnapshot.model_validate(json.loads(one.model_dump_json())) == one


class TestDiffs:
    @given(s.histories(s.whole), st.data())
    def test_applied_to_the_first_it_gives_the_second(self, history, data):
        versions = st.integers(1, len(history))
        a, b = at(history, data.draw(versions)), at(history, data.draw(versions))
        found = RunDiff.between(a, b)
        assert found.apply(a) == b
        assert bool(found) is (a != b)
        assert RunDiff.between(b, a).apply(b) == a
        again = RunDiff.model_validate_json(found.model_dump_json())
        assert again == found

    @given(s.histories(s.whole), s.histories(s.whole))
    def test_also_between_two_runs(self, one, other):
        a, b = at(one), at(other)
        assert RunDiff.between(a, b).apply(a) == b

    @given(st.data())
    def test_of_any_values(self, data):
        """Lists that grow and shrink, 1 beside True and 1.0, values of other types."""
        scalars = st.sampled_from([None, True, False, 0, 1, 1.0, "x"])
        tagged = st.sampled_from([{"$": "tuple", "v": [1]}, {"$": "set", "v": [1, 2]}])
        values = st.recursive(
            scalars | tagged,
            lambda deeper: (
                st.lists(deeper, max_size=3)
                | st.dictionaries(st.sampled_from("ab"), deeper, max_size=2)
            ),
            max_leaves=6,
        )

        def of(value) -> RunSnapshot:
            return snapshot(f.StateChanged(key=":state:n#0", name="n", value=value))

        a, b = of(data.draw(values)), of(data.draw(values))
        found = RunDiff.between(a, b)
        assert found.apply(a) == b
        # Equality of Python does not tell 1 from True: the text does.
        assert json.dumps(found.apply(a).state, sort_keys=True) == json.dumps(
            b.state, sort_keys=True
        )

    def test_what_people_read(self):
        history = timed(
            [
                QUEUED,
                STARTED,
                f.StateChanged(key=":state:n#0", name="n", value={"total": 1, "old": 0}),
                received("1"),
                f.StateChanged(key=":state:n#1", name="n", value={"total": 2}),
                f.RunCancelRequested(reason="enough"),
            ]
        )
        found = RunDiff.between(at(history, 4), at(history))
        assert str(found).splitlines() == [
            "run r1, event 4 -> 6:",
            "  ~ cancel_requested: False -> True",
            "  ~ cancel_reason: None -> 'enough'",
            "  - state.n.old: 0",
            "  ~ state.n.total: 1 -> 2",
        ]
        assert [each.path for each in found.under("state")] == [
            ("state", "n", "old"),
            ("state", "n", "total"),
        ]
        assert found.under("signals") == ()

    def test_types_are_told_apart(self):
        def changes(before, after) -> list[str]:
            one, other = (
                snapshot(f.StateChanged(key=":state:n#0", name="n", value=value))
                for value in (before, after)
            )
            return [str(each) for each in RunDiff.between(one, other).changes]

        assert changes(1, True) == ["~ state.n: 1 -> True"]
        assert changes([1], [1.0]) == ["~ state.n.0: 1 -> 1.0"]
        assert changes({"$": "tuple", "v": [1]}, {"$": "set", "v": [1]}) == [
            "~ state.n: {'$': 'tuple', 'v': [1]} -> {'$': 'set', 'v': [1]}"
        ]
        assert changes({"$": "tuple", "v": [1]}, {"$": "tuple", "v": [2]}) == [
            "~ state.n.v.0: 1 -> 2"
        ]

    def test_nothing(self):
        found = RunDiff.between(snapshot(), snapshot())
        assert not found
        assert str(found) == "run r1, event 2 -> 2: no change"

    def test_a_step_that_has_begun_and_ended_in_between_is_told(self):
        found = RunDiff.between(
            snapshot(), snapshot(step(":a#0"), f.StepCompleted(key=":a#0", output=1))
        )
        assert found
        assert str(found).splitlines()[1:] == ["  ~ outcomes: 0 -> 1"]

    def test_only_the_time(self):
        one = snapshot()
        found = RunDiff.between(one, one.model_copy(update={"version": 3}))
        assert found
        assert str(found) == "run r1, event 2 -> 3: nothing but the time"

    def test_it_fits_the_first_one_only(self):
        a, b = snapshot(), snapshot(received("1"))
        with pytest.raises(InvalidInputError, match="not the snapshot that the difference begins"):
            RunDiff.between(a, b).apply(b)
        with pytest.raises(InvalidInputError, match="not the snapshot"):
            RunDiff.between(b, a).apply(a)
