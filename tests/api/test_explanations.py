"""Why a run is where it is: every phase, every kind of open call, and nothing that is not open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.events.run import strategies as s
from tests.events.run.spec import (
    ERROR,
    QUEUED,
    RUN,
    SECOND,
    STARTED,
    SUSPENDED,
    T0,
    awaited,
    backoff,
    inline,
    question,
    received,
    started,
    step,
    timed,
    timer,
)

from agnt5 import Explanation
from agnt5.events.keys import recovery_key
from agnt5.events.leases import Ownership
from agnt5.events.run import facts as f
from agnt5.events.run.annals import annals_of
from agnt5.events.run.decider import next_wake
from agnt5.events.run.life import IMPORTED
from agnt5.events.run.recovery import recover
from agnt5.events.run.state import Phase, fold
from agnt5.explanations import explain
from agnt5.reasons import Circumstances, Wait

LATER = T0 + 60 * SECOND
HERE = Circumstances(now=T0 + 10 * SECOND)


def explained(*facts: f.RunFact, around: Circumstances = HERE) -> Explanation:
    """Of a run that has begun at T0 + 1 µs; the first of these facts lies at T0 + 2."""
    return explain(annals_of(RUN, timed([QUEUED, STARTED, *facts])), around)


def only(*facts: f.RunFact, around: Circumstances = HERE) -> Wait:
    [wait] = explained(*facts, around=around).waits
    return wait


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at)


class TestEachKindOfWait:
    def test_a_step(self):
        wait = only(step(":a#0", line="o.py:3", deadline=LATER))
        assert (wait.kind, wait.key, wait.line) == ("step", ":a#0", "o.py:3")
        assert (wait.since, wait.until) == (moment(T0 + 2), moment(LATER))
        assert str(wait) == (
            "attempt 1 of 3 of step ':a#0' (:a#0, o.py:3), since 1970-01-01 00:00:01 UTC: it is"
            " under way, or about to begin, and goes on by itself; the step must have ended by"
            " 1970-01-01 00:01:01 UTC"
        )

    def test_a_step_that_waits_for_its_function(self):
        around = Circumstances(LATER, turns={":a#0": (2, 3)})
        wait = only(step(":a#0"), around=around)
        assert (wait.kind, wait.what) == ("step", "attempt 1 of 3 of step ':a#0'")
        assert wait.wakes == (
            "it is number 2 of 3 that wait for their turn, and begins by itself when the limits of"
            " its function allow one more"
        )

    def test_a_retry(self):
        wait = only(step(":a#0", deadline=LATER + 1), backoff(":a#0", retry_at=LATER))
        assert (wait.kind, wait.since, wait.until) == ("retry", moment(T0 + 3), moment(LATER))
        assert wait.what == "attempt 2 of 3 of step ':a#0', after 'OSError: down'"
        assert wait.wakes == (
            "it begins by itself at 1970-01-01 00:01:01 UTC; the step must have ended by"
            " 1970-01-01 00:01:01 UTC"
        )

    def test_the_attempt_after_it(self):
        wait = only(step(":a#0"), backoff(":a#0"), started(":a#0", 1))
        assert (wait.kind, wait.what) == ("step", "attempt 2 of 3 of step ':a#0'")
        assert wait.since == moment(T0 + 4)

    def test_an_inline_step(self):
        alone = only(inline(":plan#0"))
        assert (alone.kind, alone.what) == ("inline step", "attempt 1 of 1 of step ':plan#0'")
        outer, inner = explained(inline(":plan#0"), timer(":plan#0>:t#0")).waits
        assert (outer.kind, outer.what) == ("inline step", "step ':plan#0', made of others")
        assert outer.wakes == "it waits for ':plan#0>:t#0'"
        assert inner.kind == "timer"

    def test_a_step_whose_outcome_a_crash_has_hidden(self):
        facts = [step(":pay#0", recovery="ask"), started(":pay#0")]
        facts += recover(fold(RUN, timed([QUEUED, STARTED, *facts])))
        pay, asked = explained(*facts).waits
        assert (pay.kind, pay.key) == ("step", ":pay#0")
        assert "a crash cut short" in pay.what
        assert asked.kind == "question"
        assert repr(asked.key) in pay.wakes
        assert asked.key == recovery_key(":pay#0", 0)
        assert "of 'retry', 'fail', 'done'" in asked.wakes

    def test_a_timer(self):
        wait = only(timer(":sleep#0", LATER))
        assert (wait.kind, wait.what, wait.until) == ("timer", "a timer", moment(LATER))
        assert wait.wakes == "it is due by itself at 1970-01-01 00:01:01 UTC"
        late = only(timer(":sleep#0", LATER), around=Circumstances(now=LATER))
        assert late.wakes == "it is due by itself at 1970-01-01 00:01:01 UTC, which is now"

    def test_a_signal(self):
        wait = only(awaited(":signal:go#0"))
        assert (wait.kind, wait.what, wait.until) == ("signal", "signal 'go'", None)
        assert wait.wakes == "client.signal('r1', 'go', PAYLOAD) sends it"
        timed_wait = only(f.SignalAwaited(key=":s#0", name="go", due_at=LATER))
        assert timed_wait.until == moment(LATER)
        assert "the call gives up by itself at 1970-01-01 00:01:01 UTC" in timed_wait.wakes

    def test_a_question(self):
        wait = only(question(":q#0"))
        assert (wait.kind, wait.what) == ("question", "an answer to ':q#0?'")
        assert wait.wakes == "client.resume('r1', ANSWER) gives it"

    def test_a_question_to_somebody_until_a_time(self):
        options = [{"id": "yes", "label": "Yes"}, {"id": "no"}]
        asked = question(
            ":q#0", assignees=["ada", "bob"], options=options, due_at=LATER, on_timeout="no"
        )
        wait = only(asked)
        assert wait.what == "an answer to ':q#0?' from 'ada' or 'bob'"
        assert wait.wakes == (
            "client.resume('r1', ANSWER, actor=WHO) gives it, of 'yes', 'no'; without one the"
            " answer 'no' stands by itself at 1970-01-01 00:01:01 UTC"
        )
        strict = only(question(":q#0", options=options, allow_custom=True, due_at=LATER))
        assert "of 'yes', 'no' or any other; without one the call raises" in strict.wakes

    def test_two_questions_are_told_apart(self):
        waits = explained(question(":q#0"), question(":q#1")).waits
        assert [f"key={wait.key!r}" in wait.wakes for wait in waits] == [True, True]

    def test_a_child(self):
        child = f.ChildStarted(key=":c#0", child_run_id="c1", component="pay")
        wait = only(child, around=Circumstances(LATER, children={"c1": "awaiting_user_input"}))
        assert wait.kind == "child"
        assert wait.what == "the end of the child run 'c1' (workflow 'pay')"
        assert wait.wakes == "it is awaiting user input; client.explain('c1') says why"
        assert only(child).wakes.startswith("it is about to be accepted; ")

    def test_what_an_onlooker_does_not_know(self):
        around = Circumstances(LATER, executes=False)
        begun = step(":a#0")
        for facts in (
            [begun],
            [begun, backoff(":a#0", retry_at=LATER)],
            [begun, f.StepCompleted(key=":a#0")],
            [timer(":t#0")],
        ):
            told = only(*facts, around=around).wakes
            assert "a program that executes the run" in told
            assert "itself" not in told

    def test_that_nobody_is_there_to_execute_it(self):
        nobody = Ownership(None, epoch=3, is_open=False)
        around = Circumstances(LATER, executes=False, owner=nobody)
        begun, queued = step(":a#0"), timed([QUEUED])
        for facts in (
            [begun],
            [begun, backoff(":a#0", retry_at=LATER)],
            [begun, f.StepCompleted(key=":a#0")],
            [timer(":t#0", LATER + 1)],
            [timer(":t#0", LATER)],
        ):
            told = explained(*facts, around=around)
            assert "once a program that executes the run opens the store" in str(told.waits[0])
            assert "under way" not in str(told)
            assert "which is now" not in str(told)
            assert told.notes[-1].startswith("The store: nobody has it open.")
        assert "opens the store" in str(explain(annals_of(RUN, queued), around).waits[0])
        for still in (f.RunPaused(), SUSPENDED):
            assert explained(still, around=around).notes == ()
        assert explained(f.RunCompleted(), around=around).notes == ()

    def test_what_cannot_be_told_of_the_store_is_not_told(self):
        unknown = Ownership("x:1", epoch=3, is_open=None)
        [asked, plain] = [
            explained(timer(":t#0"), around=Circumstances(LATER, executes=False, owner=owner))
            for owner in (unknown, None)
        ]
        assert asked == plain
        assert asked.notes == ()

    def test_its_own_code(self):
        wait = only(step(":a#0"), f.StepCompleted(key=":a#0"))
        assert (wait.kind, wait.key, wait.since) == ("code", None, moment(T0 + 3))

    def test_a_place_in_a_line_to_go_on(self):
        waits = explained(timer(":t#0"), around=Circumstances(LATER, place=(2, 5))).waits
        assert [wait.kind for wait in waits] == ["timer", "queue"]
        assert waits[1].what == "its turn in the line of all runs, where it is number 2 of 5"


class TestEachPhase:
    def queued(self, place: tuple[int, int] | None, queue: str | None = "mail") -> Explanation:
        queued = f.RunQueued(component="order", kind="workflow", input={}, queue=queue)
        return explain(annals_of(RUN, timed([queued])), Circumstances(LATER, place))

    def test_queued(self):
        found = self.queued((3, 7))
        assert (found.status, found.since, found.at) == ("queued", moment(T0), moment(LATER))
        assert str(found).splitlines() == [
            (
                "run r1 (workflow 'order') was accepted at 1970-01-01 00:00:01 UTC and has not"
                " begun. It waits for:"
            ),
            (
                "  - its turn in queue 'mail', where it is number 3 of 7, since 1970-01-01 00:00:01"
                " UTC: it begins when those before it have, and the limits allow one more"
            ),
        ]
        assert self.queued(None).waits[0].wakes == "it is about to begin"

    def test_running(self):
        found = explained(awaited(":s#0"), timer(":t#0"))
        assert found.headline == "run r1 (workflow 'order') is running. It waits for 2 things:"
        assert len(str(found).splitlines()) == 3
        asked = explained(question(":q#0"))
        assert asked.headline == (
            "run r1 (workflow 'order') is awaiting user input. It waits for one thing:"
        )

    def test_running_and_asked_to_stop(self):
        asked = f.RunCancelRequested(reason="enough")
        assert explained(timer(":t#0"), asked).notes == (
            (
                "It is asked to stop since 1970-01-01 00:00:01 UTC (enough); its code may still"
                " clean up."
            ),
        )

    def test_running_and_handling_an_update(self):
        update = f.UpdateReceived(update_id="u1", name="add")
        assert explained(update).notes == ("It handles the update 'add' ('u1').",)
        assert explained(update, f.UpdateAnswered(update_id="u1")).notes == ()

    def test_suspended_with_its_report(self):
        found = explained(awaited(":s#0"), SUSPENDED)
        assert (found.status, found.report) == ("suspended", "no such step")
        assert str(found).splitlines() == [
            (
                "run r1 (workflow 'order') is suspended since 1970-01-01 00:00:01 UTC. It waits for"
                " somebody to mend something:"
            ),
            (
                "  - code that asks for what its log holds, since 1970-01-01 00:00:01 UTC: mend it"
                " and start the program again; or client.resume('r1') tries again,"
                " client.cancel('r1') ends it"
            ),
            "  no such step",
        ]

    def test_suspended_for_each_reason(self):
        queued = f.RunQueued(component="order", kind="workflow", input={}, version_label="2")

        def wait(reason: str) -> Wait:
            suspended = f.RunSuspended(reason=reason, report="r", definition="")
            annals = annals_of(RUN, timed([queued, STARTED, suspended]))
            [one] = explain(annals, HERE).waits
            assert one.kind == "mend"
            assert "client.cancel('r1')" in one.wakes
            return one

        assert wait("version").what == ("a program that serves version '2' of the workflow 'order'")
        assert wait("unknown_component").what == "a program that has the workflow 'order'"
        assert wait("input").what == "a workflow 'order' that takes the recorded input"
        assert "(engine_error)" in wait("engine_error").what
        imported = wait(IMPORTED)
        assert imported.what == "somebody who says that it shall go on in this store"
        assert "newer agnt5" not in imported.wakes

    def test_ended(self):
        done = explained(step(":a#0"), f.RunCompleted(output=[1]))
        assert (done.waits, done.notes) == ((), ())
        assert str(done) == (
            "run r1 (workflow 'order') completed at 1970-01-01 00:00:01 UTC with [1]."
        )
        failed = explained(f.UpdateReceived(update_id="u", name="n"), f.RunFailed(error=ERROR))
        assert str(failed).endswith("failed at 1970-01-01 00:00:01 UTC: OSError: down.")
        cancelled = explained(SUSPENDED, f.RunCancelled(reason="enough"))
        assert cancelled.report is None
        assert str(cancelled).endswith("was cancelled at 1970-01-01 00:00:01 UTC: enough.")


def open_keys(history) -> set[str]:
    """Asked for, without an outcome, not given up; the engine's question goes with its step."""
    found: dict[str, f.Request] = {}
    for fact, _ in history:
        if isinstance(fact, f.Request):
            found[fact.key] = fact
        elif isinstance(fact, f.Outcome | f.OperationCancelled):
            found.pop(fact.key, None)
            for key, asked in list(found.items()):
                if isinstance(asked, f.UserInputRequested) and asked.about == fact.key:
                    del found[key]
    return set(found)


@given(s.histories(s.whole), st.none() | st.just((2, 3)))
def test_it_names_every_open_call_of_a_run_and_nothing_else(history, place):
    for version in range(1, len(history) + 1):
        facts = history[:version]
        annals = annals_of(RUN, facts)
        around = Circumstances(facts[-1][1] + 1, place)
        found, phase = explain(annals, around), annals.state.phase
        kinds = [wait.kind for wait in found.waits if wait.key is None]
        assert (found.report is not None) is (phase is Phase.SUSPENDED)
        if annals.state.pause is not None:
            assert [wait.kind for wait in found.waits] == ["resume"]
            continue
        if phase is not Phase.RUNNING:
            assert not [wait for wait in found.waits if wait.key is not None]
            assert kinds == {Phase.QUEUED: ["queue"], Phase.SUSPENDED: ["mend"]}.get(phase, [])
            continue
        keys = [wait.key for wait in found.waits if wait.key is not None]
        assert set(keys) == open_keys(facts)
        assert len(keys) == len(set(keys))
        assert kinds == (["queue"] if place else [] if keys else ["code"])
        # Somebody who reads it knows when the run comes back by itself.
        ends = [wait.until for wait in found.waits if wait.until is not None]
        wake_at = next_wake(annals.state)
        assert min(ends, default=None) == (None if wake_at is None else moment(wake_at))
        for wait in found.waits:
            assert wait.what in str(found)
            assert wait.key is None or wait.key in str(found)


def test_a_signal_that_waits_is_not_waited_for():
    assert only(received("1")).kind == "code"
