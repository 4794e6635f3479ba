"""The rules of a run, one test per rule."""

from __future__ import annotations

import pytest
from tests.events.run.spec import (
    CANCEL,
    CANCELLED,
    COMPLETED,
    ERROR,
    FAILED,
    NOW,
    PARKED,
    PLAN,
    QUEUED,
    RESUMED,
    SECOND,
    STARTED,
    SUSPENDED,
    awaited,
    backoff,
    given,
    inline,
    question,
    received,
    running,
    started,
    step,
    timer,
)

from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.decider import is_waiting, next_wake, react
from agnt5.events.run.recovery import UNKNOWN_OUTCOME
from agnt5.exceptions import InvalidInputError, RunNotFoundError
from agnt5.payloads import decode_error

ENDED = (COMPLETED, FAILED, CANCELLED)
OPTIONS = [{"id": "yes", "label": "Yes"}, {"id": "no", "label": "No"}]


def request_step(key="a", *, recovery="retry", **fields) -> c.RequestStep:
    values = {"name": key, "function": key, "input": None, "retry": PLAN, **fields}
    return c.RequestStep(key, recovery=recovery, **values)


def request_input(key="q", **fields) -> c.RequestInput:
    values = {
        "question": f"{key}?",
        "input_type": "text",
        "options": None,
        "allow_custom": False,
        "skippable": False,
    }
    return c.RequestInput(key, **(values | fields))


class TestLife:
    def test_a_run_is_queued(self):
        """Everything that was given is on record."""
        command = c.QueueRun("order", "workflow", {"n": 1}, "k", "r0", "s", "u", {"m": 1}, "v2")
        fact = f.RunQueued(
            component="order",
            kind="workflow",
            input={"n": 1},
            idempotency_key="k",
            replaces="r0",
            session_id="s",
            user_id="u",
            metadata={"m": 1},
            version_label="v2",
        )
        given().when(command).then(fact).owes()

    def test_an_id_is_taken_once(self):
        """Two runs never share a stream."""
        again = c.QueueRun("order", "workflow", None)
        given(QUEUED).when(again).refuses(InvalidInputError, "already in this store")

    def test_an_unknown_run_is_refused(self):
        """Only a new run may be the first that is heard of a run."""
        given().when(c.StartRun("d")).refuses(RunNotFoundError, "no run 'r1'")

    def test_a_run_starts(self):
        """The body is hosted once the start is on record."""
        given(QUEUED).when(c.StartRun("d1")).then(STARTED).owes(e.StartBody())

    def test_a_run_that_a_trigger_has_begun_wrongly_fails_at_its_start(self):
        """Nobody was there to be refused, so the record says it."""
        queued = f.RunQueued(
            component="order", kind="workflow", input={}, origin={"type": "event", "error": ERROR}
        )
        failed = f.RunFailed(error=ERROR)
        given(queued).when(c.StartRun("d1")).then(failed).owes(e.CloseBody(), e.Announce(failed))

    def test_a_run_starts_once(self):
        """A second start is late."""
        running().when(c.StartRun("d2")).then()

    @pytest.mark.parametrize(
        ("command", "fact"),
        [
            (c.CompleteRun({"total": 3}), f.RunCompleted(output={"total": 3})),
            (c.FailRun(ERROR), f.RunFailed(error=ERROR)),
            (c.CancelRun(), f.RunCancelled(reason=None)),
        ],
        ids=["completed", "failed", "cancelled"],
    )
    def test_a_run_ends(self, command, fact):
        """The body is closed and whoever waits is told."""
        running().when(command).then(fact).owes(e.CloseBody(), e.Announce(fact))

    @pytest.mark.parametrize("end", ENDED, ids=lambda fact: fact.topic)
    @pytest.mark.parametrize(
        "command",
        [c.CompleteRun(1), c.FailRun(ERROR), c.CancelRun()],
        ids=lambda x: type(x).__name__,
    )
    def test_a_run_ends_once(self, end, command):
        """Whatever the body says after its end is late."""
        running(end).when(command).then()

    @pytest.mark.parametrize("end", ENDED, ids=lambda fact: fact.topic)
    def test_what_was_open_ends_with_the_run(self, end):
        """Reports that come after the end are late, and nothing is owed."""
        over = running(step("a"), timer("t"), end)
        over.when(c.ReportSuccess("a", 0, 1, 5)).then()
        over.when(c.WakeOperation("t")).then()
        over.owes()


class TestSteps:
    def test_a_step_is_scheduled_and_runs_at_once(self):
        """Under the policy ``retry`` the attempt need not wait for its own intent."""
        fact = step("a", input=[1], line="app.py:7")
        running().when(request_step(input=[1], line="app.py:7")).then(fact).owes(
            e.Execute("a", 0, eager=True)
        )

    def test_a_step_that_may_not_be_repeated_waits_for_its_intent(self):
        """Under the policy ``fail`` the intent is on record before the effect may happen."""
        running().when(request_step(recovery="fail")).then(
            step("a", recovery="fail"), started("a")
        ).owes(e.Execute("a", 0, eager=False))

    def test_the_deadline_is_recorded_and_not_the_duration(self):
        """So that it holds across restarts."""
        running().when(request_step(timeout_us=5 * SECOND)).then(
            step("a", deadline=NOW + 5 * SECOND)
        ).owes(e.Execute("a", 0, eager=True), e.Wake("a", NOW + 5 * SECOND))

    def test_the_deadline_of_a_step_that_may_not_be_repeated(self):
        """It is armed before the attempt begins."""
        scheduled = step("a", recovery="fail", deadline=NOW + 5)
        running().when(request_step(recovery="fail", timeout_us=5)).then(
            scheduled, started("a")
        ).owes(e.Wake("a", NOW + 5), e.Execute("a", 0, eager=False))

    @pytest.mark.parametrize(
        "history",
        [
            (step("a"),),
            (step("a"), f.StepCompleted(key="a")),
            (step("a"), f.StepFailed(key="a", error=ERROR)),
            (step("a"), f.OperationCancelled(key="a")),
        ],
        ids=["open", "completed", "failed", "given up"],
    )
    @pytest.mark.parametrize(
        "command",
        [request_step(), c.RequestTimer("a", 1), c.RequestSignal("a", "go"), request_input("a")],
        ids=lambda command: type(command).__name__,
    )
    def test_a_key_is_used_once(self, history, command):
        """Asking again for what the log holds is a replay, and decides nothing."""
        running(*history).when(command).then()

    def test_a_result_settles_a_step(self):
        """It is recorded with its attempt and its duration, and handed to the body."""
        done = f.StepCompleted(key="a", output={"x": 1}, attempt=0, duration_us=7)
        running(step("a")).when(c.ReportSuccess("a", 0, {"x": 1}, 7)).then(done).owes(
            e.Resolve(done)
        )

    def test_the_first_result_stands(self):
        """A duplicate is decided into nothing."""
        running(step("a"), f.StepCompleted(key="a")).when(c.ReportSuccess("a", 0, 2, 5)).then()

    @pytest.mark.parametrize(
        "report", [c.ReportSuccess("a", 0, 1, 5), c.ReportFailure("a", 0, ERROR)]
    )
    @pytest.mark.parametrize(
        "history",
        [
            (),
            (step("a"), backoff("a")),
            (step("a"), backoff("a"), started("a", 1)),
            (step("a"), f.StepFailed(key="a", error=ERROR)),
            (step("a"), f.OperationCancelled(key="a")),
            (timer("a"),),
            (awaited("a"),),
            (question("a"),),
        ],
        ids=["unknown", "backoff", "next", "settled", "given up", "timer", "signal", "question"],
    )
    def test_a_report_of_another_attempt_is_late(self, history, report):
        """Only the attempt that is under way may report."""
        running(*history).when(report).then()

    def test_a_result_is_kept_while_the_run_is_suspended(self):
        """What was paid for is recorded."""
        running(step("a"), SUSPENDED).when(c.ReportSuccess("a", 0, 1, 5)).then(
            f.StepCompleted(key="a", output=1, duration_us=5)
        )

    def test_a_failure_is_followed_by_another_attempt(self):
        """The time of the next attempt is on record."""
        failed = backoff("a", 0, NOW + SECOND)
        running(step("a")).when(c.ReportFailure("a", 0, ERROR)).then(failed).owes(
            e.Wake("a", NOW + SECOND)
        )

    def test_later_failures_wait_longer(self):
        """The delay follows the policy as it was recorded."""
        running(step("a"), backoff("a"), started("a", 1)).when(c.ReportFailure("a", 1, ERROR)).then(
            backoff("a", 1, NOW + 2 * SECOND)
        )

    def test_the_last_attempt_fails_the_step(self):
        """Attempts are counted from 0; three are allowed."""
        failed = f.StepFailed(key="a", error=ERROR, attempt=2)
        running(step("a"), backoff("a", 1), started("a", 2)).when(
            c.ReportFailure("a", 2, ERROR)
        ).then(failed).owes(e.CancelAttempt("a"), e.Resolve(failed))

    def test_without_a_policy_there_is_one_attempt(self):
        """Inline steps, and functions that ask for no retries."""
        running(inline("a")).when(c.ReportFailure("a", 0, ERROR)).then(
            f.StepFailed(key="a", error=ERROR)
        )

    def test_what_is_not_retryable_fails_at_once(self):
        """A result that cannot be recorded will not be better the next time."""
        running(step("a")).when(c.ReportFailure("a", 0, ERROR, retryable=False)).then(
            f.StepFailed(key="a", error=ERROR)
        )


class TestWakes:
    def test_the_next_attempt_begins_in_its_time(self):
        """It rests on a durable failure, so it need not wait for its own intent."""
        running(step("a"), backoff("a", 0, NOW)).when(c.WakeOperation("a")).then(
            started("a", 1)
        ).owes(e.Execute("a", 1, eager=True))

    def test_the_next_attempt_of_a_step_that_may_not_be_repeated_waits_for_its_intent(self):
        """A failure that was reported is known; the crash of the next attempt would not be."""
        running(step("a", recovery="fail"), started("a"), backoff("a", 0, NOW)).when(
            c.WakeOperation("a")
        ).then(started("a", 1)).owes(e.Execute("a", 1, eager=False))

    def test_a_timer_fires_in_its_time(self):
        """Its outcome is handed to the body."""
        fired = f.TimerFired(key="t")
        running(timer("t", NOW)).when(c.WakeOperation("t")).then(fired).owes(e.Resolve(fired))

    @pytest.mark.parametrize(
        "history",
        [
            (timer("t", NOW + 1),),
            (step("t"), backoff("t", 0, NOW + 1)),
            (step("t", deadline=NOW + 1),),
        ],
        ids=["timer", "backoff", "deadline"],
    )
    def test_nothing_happens_before_its_time(self, history):
        """A wake that comes early is decided into nothing."""
        running(*history).when(c.WakeOperation("t"), now=NOW).then()

    @pytest.mark.parametrize(
        "history",
        [
            (),
            (step("t"),),
            (awaited("t"),),
            (question("t"),),
            (timer("t"), f.TimerFired(key="t")),
            (step("t"), backoff("t"), started("t", 1)),
        ],
        ids=["unknown", "running", "signal", "question", "fired", "started"],
    )
    def test_a_wake_that_concerns_nobody(self, history):
        """Alarms may ring late or twice."""
        running(*history).when(c.WakeOperation("t")).then()

    @pytest.mark.parametrize(
        ("history", "attempt"),
        [
            ((step("a", deadline=NOW),), 0),
            ((step("a", deadline=NOW), backoff("a", 0, NOW + 9)), 0),
            ((step("a", deadline=NOW), backoff("a"), started("a", 1)), 1),
            ((inline("a", deadline=NOW),), 0),
        ],
        ids=["running", "backoff", "second attempt", "inline"],
    )
    def test_the_deadline_fails_the_step(self, history, attempt):
        """With all its attempts; the one that may be running is cancelled."""
        when = running(*history).when(c.WakeOperation("a"))
        (failed,) = when.decides(f.StepFailed)
        assert failed.attempt == attempt
        error = decode_error(failed.error)
        assert isinstance(error, TimeoutError)
        assert str(error) == "step 'a' did not end within its timeout"
        when.owes(e.CancelAttempt("a"), e.Resolve(failed))

    @pytest.mark.parametrize("retry_at", [NOW - 9, NOW - 5, NOW])
    def test_no_attempt_begins_after_the_deadline(self, retry_at):
        """The process was away while the next attempt was due: its time is over all the same."""
        late = running(step("a", deadline=NOW - 5), backoff("a", 0, retry_at))
        late.when(c.WakeOperation("a"), now=NOW).decides(f.StepFailed)

    def test_a_suspended_run_is_not_woken(self):
        """Its alarms are armed again when it is resumed."""
        running(timer("t", NOW), SUSPENDED).when(c.WakeOperation("t")).then()
        running(timer("t", NOW), SUSPENDED, RESUMED).owes(e.Wake("t", NOW))


class TestTimers:
    def test_a_timer_is_scheduled(self):
        """The deadline is recorded, not the duration."""
        fact = f.TimerScheduled(key="t", due_at=NOW + 5, line="app.py:3")
        running().when(c.RequestTimer("t", 5, "app.py:3")).then(fact).owes(e.Wake("t", NOW + 5))


class TestGivingUp:
    @pytest.mark.parametrize(
        "history",
        [(step("a"),), (step("a"), backoff("a")), (timer("a"),), (awaited("a"),), (question("a"),)],
        ids=["step", "backoff", "timer", "signal", "question"],
    )
    def test_a_wait_is_given_up(self, history):
        """It is recorded, and the attempt that may be running is cancelled."""
        running(*history).when(c.AbandonOperation("a")).then(f.OperationCancelled(key="a")).owes(
            e.CancelAttempt("a")
        )

    @pytest.mark.parametrize(
        "history",
        [(), (timer("a"), f.TimerFired(key="a")), (timer("a"), f.OperationCancelled(key="a"))],
        ids=["unknown", "settled", "given up"],
    )
    def test_only_what_is_open_can_be_given_up(self, history):
        """The outcome that came first stands."""
        running(*history).when(c.AbandonOperation("a")).then()


class TestSignals:
    def test_a_call_waits_for_a_signal(self):
        """Nothing is owed: signals come from outside."""
        fact = f.SignalAwaited(key="s", name="go", line="app.py:5")
        running().when(c.RequestSignal("s", "go", "app.py:5")).then(fact).owes()

    def test_a_signal_that_came_earlier_is_taken(self):
        """The oldest first."""
        consumed = f.SignalConsumed(key="s", signal_id="1", payload="first")
        running(received("1", payload="first"), received("2")).when(
            c.RequestSignal("s", "go")
        ).then(awaited("s"), consumed).owes(e.Resolve(consumed))

    def test_signals_of_another_name_stay(self):
        """A name is a queue of its own."""
        running(received("1", "stop")).when(c.RequestSignal("s", "go")).then(awaited("s"))

    def test_a_signal_is_consumed_once(self):
        """The next call gets the next one."""
        consumed = f.SignalConsumed(key="s", signal_id="1")
        running(received("1"), received("2"), awaited("s"), consumed).when(
            c.RequestSignal("s2", "go")
        ).then(awaited("s2"), f.SignalConsumed(key="s2", signal_id="2"))

    def test_a_signal_goes_to_who_waits(self):
        """Received and consumed in one moment."""
        consumed = f.SignalConsumed(key="s", signal_id="1", payload=[1])
        running(awaited("s")).when(c.SendSignal("1", "go", [1])).then(
            received("1", payload=[1]), consumed
        ).owes(e.Resolve(consumed))

    def test_who_waited_first_is_served_first(self):
        """In the order of the log."""
        running(awaited("s1"), awaited("s2")).when(c.SendSignal("1", "go", None)).then(
            received("1"), f.SignalConsumed(key="s1", signal_id="1")
        )

    @pytest.mark.parametrize(
        "history", [(QUEUED,), (QUEUED, STARTED), (QUEUED, STARTED, awaited("s", "stop"))]
    )
    def test_a_signal_that_nobody_waits_for_is_kept(self, history):
        """Even before the run has started."""
        given(*history).when(c.SendSignal("1", "go", None)).then(received("1")).owes()

    @pytest.mark.parametrize(
        "history",
        [
            (received("1"),),
            (awaited("s"), received("1"), f.SignalConsumed(key="s", signal_id="1")),
        ],
        ids=["kept", "consumed"],
    )
    def test_the_same_id_is_the_same_signal(self, history):
        """Whatever it carries the second time, and also after the end."""
        running(*history).when(c.SendSignal("1", "stop", "other")).then()
        running(*history, f.RunCompleted()).when(c.SendSignal("1", "go", None)).then()

    def test_a_signal_that_nobody_was_handed_is_given_back(self):
        """The body gave up the wait before it was told; the next wait gets the signal."""
        consumed = f.SignalConsumed(key="s", signal_id="1", payload=5)
        returned = f.SignalReturned(key="s", signal_id="1")
        over = running(awaited("s"), received("1", payload=5), consumed)
        over.when(c.AbandonOperation("s")).then(returned).owes()
        again = f.SignalConsumed(key="s2", signal_id="1", payload=5)
        running(awaited("s"), received("1", payload=5), consumed, returned).when(
            c.RequestSignal("s2", "go")
        ).then(awaited("s2"), again)

    def test_a_signal_that_is_given_back_goes_to_who_waits(self):
        """Given back and consumed in one moment."""
        consumed = f.SignalConsumed(key="s", signal_id="1")
        again = f.SignalConsumed(key="s2", signal_id="1")
        running(
            awaited("s"), received("1"), consumed, awaited("other", "stop"), awaited("s2")
        ).when(c.AbandonOperation("s")).then(f.SignalReturned(key="s", signal_id="1"), again).owes(
            e.Resolve(again)
        )

    def test_a_signal_is_given_back_once(self):
        """And by a body that runs."""
        history = (awaited("s"), received("1"), f.SignalConsumed(key="s", signal_id="1"))
        returned = f.SignalReturned(key="s", signal_id="1")
        running(*history, returned).when(c.AbandonOperation("s")).then()
        running(*history, SUSPENDED).when(c.AbandonOperation("s")).then()
        running(*history, COMPLETED).when(c.AbandonOperation("s")).then()

    @pytest.mark.parametrize("end", ENDED, ids=lambda fact: fact.topic)
    def test_a_run_that_has_ended_takes_no_signals(self, end):
        """The sender is told."""
        running(end).when(c.SendSignal("1", "go", None)).refuses(
            InvalidInputError, "it takes no signals"
        )


class TestQuestions:
    def test_a_person_is_asked(self):
        """Those who wait for the run are told that it waits."""
        fact = question("q", input_type="select", options=OPTIONS, allow_custom=True, line="a.py:1")
        command = request_input(
            input_type="select", options=OPTIONS, allow_custom=True, line="a.py:1"
        )
        running().when(command).then(fact).owes(e.AnnouncePause())

    def test_the_only_question_is_answered(self):
        """Without a key the answer is to the question that is open."""
        replied = f.UserReplied(key="q", answer="fine")
        running(step("a"), question("q")).when(c.SubmitAnswer("fine")).then(replied).owes(
            e.Resolve(replied)
        )

    def test_a_question_is_chosen_by_its_key(self):
        """When there are several."""
        running(question("q1"), question("q2")).when(c.SubmitAnswer("fine", "q2")).then(
            f.UserReplied(key="q2", answer="fine")
        )

    def test_an_answer_must_say_which_question_it_means(self):
        """When there are several."""
        running(question("q1"), question("q2")).when(c.SubmitAnswer("fine")).refuses(
            InvalidInputError, "'q1', 'q2'"
        )

    @pytest.mark.parametrize(
        "history",
        [(), (step("q"),), (question("q"), f.UserReplied(key="q", answer="x"))],
        ids=["nothing", "a step", "answered"],
    )
    def test_an_answer_to_no_question_is_refused(self, history):
        """The person is told."""
        running(*history).when(c.SubmitAnswer("fine")).refuses(InvalidInputError, "no answer")

    def test_an_answer_to_an_unknown_question_is_refused(self):
        """The message names it."""
        running(question("q")).when(c.SubmitAnswer("fine", "other")).refuses(
            InvalidInputError, "question 'other'"
        )

    @pytest.mark.parametrize(
        "settled", [f.UserReplied(key="q", answer="x"), f.OperationCancelled(key="q")]
    )
    def test_a_second_answer_is_late(self, settled):
        """The first one stands."""
        late = c.SubmitAnswer("fine", "q")
        running(question("q"), settled).when(late).refuses(InvalidInputError, "'q'")

    def test_an_answer_is_taken_while_the_run_is_suspended(self):
        """A person's work is recorded."""
        running(question("q"), SUSPENDED).when(c.SubmitAnswer("fine")).then(
            f.UserReplied(key="q", answer="fine")
        )

    def test_a_question_may_be_skipped_if_it_says_so(self):
        """None is the answer then."""
        running(question("q", skippable=True)).when(c.SubmitAnswer(None)).then(
            f.UserReplied(key="q", answer=None)
        )
        running(question("q")).when(c.SubmitAnswer(None)).refuses(InvalidInputError, "be skipped")

    @pytest.mark.parametrize(
        ("fields", "answer"),
        [
            ({"input_type": "text"}, ""),
            ({"input_type": "select", "options": OPTIONS}, "yes"),
            ({"input_type": "select", "options": OPTIONS, "allow_custom": True}, "maybe"),
            ({"input_type": "multiselect", "options": OPTIONS}, "yes"),
            ({"input_type": "multiselect", "options": OPTIONS}, "no,yes"),
            ({"input_type": "choice", "options": OPTIONS}, "no,yes"),
            ({"input_type": "select", "options": [{"id": 7}]}, "7"),
            ({"input_type": "select", "options": []}, "anything"),
        ],
    )
    def test_answers_that_fit(self, fields, answer):
        """An option, several where several are allowed, anything where no option is given."""
        running(question("q", **fields)).when(c.SubmitAnswer(answer)).then(
            f.UserReplied(key="q", answer=answer)
        )

    @pytest.mark.parametrize(
        ("input_type", "answer"),
        [
            ("select", "maybe"),
            ("select", "Yes"),
            ("select", "yes,no"),
            ("multiselect", "yes,maybe"),
            ("multiselect", ""),
            ("approval", "perhaps"),
        ],
    )
    def test_answers_that_do_not_fit(self, input_type, answer):
        """The message names the options."""
        asked = question("q", input_type=input_type, options=OPTIONS)
        running(asked).when(c.SubmitAnswer(answer)).refuses(InvalidInputError, "'yes', 'no'")


class TestCancelling:
    def test_a_running_run_is_asked_to_stop(self):
        """The body may still clean up; it ends the run itself."""
        running(step("a")).when(c.RequestCancel("enough")).then(CANCEL).owes(e.InterruptBody())

    @pytest.mark.parametrize(
        "history", [(QUEUED,), (QUEUED, STARTED, SUSPENDED)], ids=["queued", "suspended"]
    )
    def test_where_no_body_runs_the_run_ends_at_once(self, history):
        """There is nobody to clean up."""
        given(*history).when(c.RequestCancel("enough")).then(CANCEL, CANCELLED).owes(
            e.InterruptBody(), e.CloseBody(), e.Announce(CANCELLED)
        )

    def test_cancelling_twice_is_cancelling_once(self):
        """The first reason stands."""
        running(CANCEL).when(c.RequestCancel("again")).then()

    def test_a_run_that_was_suspended_while_it_cleaned_up_can_be_cancelled(self):
        """It is one of the ways out that the report names; the first reason stands."""
        running(CANCEL, SUSPENDED).when(c.RequestCancel("again")).then(CANCELLED)

    @pytest.mark.parametrize("end", ENDED, ids=lambda fact: fact.topic)
    def test_cancelling_after_the_end_is_late(self, end):
        """Nothing follows a terminal fact."""
        running(end).when(c.RequestCancel()).then()

    def test_the_reason_ends_with_the_run(self):
        """Whoever waits learns why."""
        running(CANCEL).when(c.CancelRun()).then(CANCELLED)

    def test_a_body_may_ask_for_more_while_it_cleans_up(self):
        """Cleanup can run durable steps."""
        running(CANCEL).when(request_step()).then(step("a"))

    def test_a_body_may_decide_to_go_on(self):
        """It has caught the cancellation and returned a result."""
        running(CANCEL).when(c.CompleteRun(1)).then(COMPLETED)


class TestParking:
    @pytest.mark.parametrize(
        ("history", "wake_at"),
        [
            ((timer("t", 9),), 9),
            ((timer("t", 9), timer("u", 7)), 7),
            ((awaited("s"),), None),
            ((question("q"), timer("t", 9)), 9),
            ((step("a"), backoff("a", 0, 9)), 9),
            ((step("a", deadline=5), backoff("a", 0, 9)), 5),
            ((step("a", deadline=9), backoff("a", 0, 5)), 5),
        ],
        ids=["timer", "timers", "signal", "question", "backoff", "deadline", "backoff first"],
    )
    def test_a_run_that_only_waits_leaves_memory(self, history, wake_at):
        """Until the earliest time at which something must be decided."""
        running(*history).when(c.ParkRun()).then(f.RunParked(wake_at=wake_at)).owes(e.CloseBody())

    @pytest.mark.parametrize(
        "history",
        [
            (),
            (step("a"),),
            (timer("t"), step("a")),
            (timer("t"), inline("a")),
            (timer("t"), step("a"), backoff("a"), started("a", 1)),
            (timer("t"), f.TimerFired(key="t")),
        ],
        ids=["nothing open", "step", "step and timer", "inline", "second attempt", "all settled"],
    )
    def test_a_run_that_is_under_way_stays(self, history):
        """Something runs, or the body is about to move."""
        running(*history).when(c.ParkRun()).then()

    @pytest.mark.parametrize("end", [SUSPENDED, *ENDED], ids=lambda fact: fact.topic)
    def test_only_a_running_run_is_parked(self, end):
        """The others have left memory already."""
        running(timer("t"), end).when(c.ParkRun()).then()

    def test_a_run_that_came_back_for_nothing_leaves_without_another_fact(self):
        """The log says already that it waits: it must not grow each time somebody looks."""
        running(timer("t", 9), f.RunParked(wake_at=9)).when(c.ParkRun()).then()

    def test_what_a_parked_run_waits_for_still_comes(self):
        """Parked is a place, not a phase."""
        running(timer("t"), PARKED).when(c.WakeOperation("t")).then(f.TimerFired(key="t"))
        running(question("q"), PARKED).when(c.SubmitAnswer("x")).then(
            f.UserReplied(key="q", answer="x")
        )
        running(timer("t"), PARKED).when(c.RequestCancel("enough")).then(CANCEL)


class TestSuspending:
    def test_a_run_that_cannot_go_on_is_suspended(self):
        """Never failed: nothing is lost."""
        command = c.SuspendRun("nondeterminism", "no such step", "d1")
        running(step("a")).when(command).then(SUSPENDED).owes(e.CloseBody(), e.AnnouncePause())

    def test_the_same_report_is_given_once(self):
        """A second one would say nothing new."""
        command = c.SuspendRun("nondeterminism", "no such step", "d2")
        running(SUSPENDED).when(command).then()

    def test_another_report_is_recorded(self):
        """The code was changed and still does not fit."""
        command = c.SuspendRun("nondeterminism", "no such signal", "d2")
        running(SUSPENDED).when(command).decides(f.RunSuspended)

    @pytest.mark.parametrize(
        "history", [(QUEUED,), *((QUEUED, STARTED, end) for end in ENDED)], ids=str
    )
    def test_only_what_runs_can_be_suspended(self, history):
        """A report that comes after the end is late."""
        given(*history).when(c.SuspendRun("why", "report", "d")).then()

    @pytest.mark.parametrize(
        "command",
        [
            request_step(),
            c.RequestTimer("t", 1),
            c.RequestSignal("s", "go"),
            request_input(),
            c.CompleteRun(1),
            c.FailRun(ERROR),
            c.CancelRun(),
        ],
        ids=lambda command: type(command).__name__,
    )
    def test_a_suspended_body_is_not_heard(self, command):
        """It asks for what the log does not hold, or has ended where it should not."""
        running(SUSPENDED).when(command).then()

    def test_a_suspended_run_is_resumed(self):
        """With the code of today."""
        running(SUSPENDED).when(c.ResumeRun("d2")).then(RESUMED).owes(e.ComeBack())

    @pytest.mark.parametrize(
        "history", [(QUEUED,), (QUEUED, STARTED), (QUEUED, STARTED, COMPLETED)]
    )
    def test_only_what_is_suspended_is_resumed(self, history):
        """The others need not be."""
        given(*history).when(c.ResumeRun("d2")).then()


class TestUnknownOutcomes:
    """An attempt was under way when its process ended, and its policy forbids another one."""

    @pytest.mark.parametrize(
        "history",
        [
            (step("a", recovery="fail"), started("a")),
            (step("a", recovery="fail"), started("a"), backoff("a"), started("a", 1)),
        ],
        ids=["first", "second"],
    )
    def test_the_step_fails_after_a_restart(self, history):
        """It is not known whether the effect happened, and the log says so."""
        (failed,) = running(*history).when(c.Recover()).decides(f.StepFailed)
        assert failed.error["type"] == "agnt5.exceptions:UnknownOutcomeError"
        assert failed.error["message"] == UNKNOWN_OUTCOME
        assert failed.attempt == history[-1].attempt

    def test_no_other_attempt_is_owed(self):
        """The restart must not run what it may not repeat, not even until it has recovered."""
        running(step("a", recovery="fail"), started("a")).owes()
        running(step("a", recovery="fail", deadline=9), started("a")).owes(e.Wake("a", 9))

    def test_an_attempt_whose_intent_is_not_on_record_has_not_begun(self):
        """It is simply owed."""
        running(step("a", recovery="fail")).owes(e.Execute("a", 0, eager=True))
        running(step("a", recovery="fail")).when(c.Recover()).then()

    def test_a_run_that_was_suspended_meanwhile_recovers_when_it_is_resumed(self):
        """Suspending has ended its attempts."""
        _, failed = (
            running(step("a", recovery="fail"), started("a"), SUSPENDED)
            .when(c.ResumeRun("d2"))
            .decides(f.RunResumed, f.StepFailed)
        )
        assert failed.error["type"] == "agnt5.exceptions:UnknownOutcomeError"

    @pytest.mark.parametrize(
        "history",
        [
            (),
            (step("a"),),
            (step("a"), backoff("a"), started("a", 1)),
            (step("a", recovery="fail"), started("a"), backoff("a")),
            (step("a", recovery="fail"), started("a"), f.StepCompleted(key="a")),
            (timer("t"), awaited("s"), question("q"), inline("i")),
        ],
        ids=["nothing", "retry", "retried", "known failure", "settled", "no steps"],
    )
    def test_whatever_else_is_open_is_simply_owed_again(self, history):
        """Only an attempt that may not be repeated has an unknown outcome."""
        running(*history).when(c.Recover()).then()


class TestOwedAfterRestart:
    def test_nothing_is_owed_by_a_run_that_does_not_run(self):
        """Queued, suspended and ended runs wait for somebody."""
        for end in (SUSPENDED, *ENDED):
            running(step("a"), timer("t"), end).owes()
        given(QUEUED).owes()

    def test_attempts_are_owed_again(self):
        """With the number they had."""
        running(step("a"), step("b"), backoff("b"), started("b", 1), inline("i")).owes(
            e.Execute("a", 0, eager=True),
            e.Execute("b", 1, eager=True),
            e.Execute("i", 0, eager=True),
        )

    def test_wakes_are_owed_again(self):
        """Timers, retries and deadlines."""
        running(timer("t", 5), step("b"), backoff("b", 0, 6), step("c", deadline=7)).owes(
            e.Wake("t", 5), e.Wake("b", 6), e.Execute("c", 0, eager=True), e.Wake("c", 7)
        )

    def test_a_retry_that_comes_before_the_deadline_does_not_hide_it(self):
        """The attempt that begins at 6 must end at 9 all the same."""
        running(step("a", deadline=9), backoff("a", 0, 6)).owes(e.Wake("a", 6), e.Wake("a", 9))

    def test_the_outside_is_owed_nothing(self):
        """Signals and people come by themselves."""
        running(awaited("s"), question("q")).owes()

    def test_what_is_settled_is_not_owed(self):
        """The outcome is in the log, and the replay hands it out."""
        running(
            step("a"), f.StepCompleted(key="a"), timer("t"), f.OperationCancelled(key="t")
        ).owes()


def test_waiting_and_waking():
    """What a run actor asks before it parks."""
    assert not is_waiting(running().state)
    assert is_waiting(running(timer("t", 9)).state)
    assert not is_waiting(running(timer("t", 9), step("a")).state)
    assert next_wake(running().state) is None
    assert next_wake(running(question("q")).state) is None
    assert next_wake(running(timer("t", 9), step("a", deadline=4)).state) == 4


@pytest.mark.parametrize("fact", [QUEUED, awaited("s"), received("1")], ids=lambda x: x.topic)
def test_facts_that_oblige_nobody(fact):
    """Nothing must be done because of them."""
    assert list(react(running().state, fact)) == []


class TestTimedSignals:
    def test_a_wait_that_ends(self):
        """Its end is recorded as a time, and armed."""
        timed_wait = f.SignalAwaited(key="s", name="go", due_at=NOW + 5)
        running().when(c.RequestSignal("s", "go", None, 5)).then(timed_wait).owes(
            e.Wake("s", NOW + 5)
        )
        running(timed_wait).owes(e.Wake("s", NOW + 5))

    def test_a_signal_that_is_there_is_taken_whatever_the_timeout(self):
        """Even one of no seconds."""
        running(received("1")).when(c.RequestSignal("s", "go", None, 0)).then(
            f.SignalAwaited(key="s", name="go", due_at=NOW),
            f.SignalConsumed(key="s", signal_id="1"),
        )

    def test_the_time_is_over_and_a_later_signal_is_for_the_next_wait(self):
        """It is neither lost nor given to the wait that is over."""
        over = f.SignalTimedOut(key="s")
        timed_wait = f.SignalAwaited(key="s", name="go", due_at=NOW)
        running(timed_wait).when(c.WakeOperation("s")).then(over)
        running(timed_wait, over).when(c.SendSignal("1", "go", 7)).then(received("1", payload=7))
        running(timed_wait, over, received("1", payload=7)).when(c.RequestSignal("t", "go")).then(
            awaited("t"), f.SignalConsumed(key="t", signal_id="1", payload=7)
        )
        running(timed_wait, over).when(c.AbandonOperation("s")).then()

    def test_the_clock_was_early(self):
        """Nothing is decided before its time."""
        waits = f.SignalAwaited(key="s", name="go", due_at=NOW + 1)
        running(waits).when(c.WakeOperation("s")).then()
        running(awaited("s")).when(c.WakeOperation("s")).then()


class TestWhoAnswers:
    def test_only_assignees_may_answer(self):
        """Whoever answers must say who it is."""
        asked = question("q", assignees=["ada", "bob"])
        running(asked).when(c.SubmitAnswer("x", actor="eve")).refuses(InvalidInputError, "'eve'")
        running(asked).when(c.SubmitAnswer("x")).refuses(InvalidInputError, "'ada', 'bob'")
        running(asked).when(c.SubmitAnswer("x", actor="bob")).then(
            f.UserReplied(key="q", answer="x", actor="bob")
        )

    def test_what_was_shown_must_be_what_is_asked(self):
        """A stale page answers nothing; not saying what was shown is allowed."""
        asked = question("q", shown="d1")
        running(asked).when(c.SubmitAnswer("x", shown="d2")).refuses(InvalidInputError, "'d2'")
        reply = f.UserReplied(key="q", answer="x", shown="d1")
        running(asked).when(c.SubmitAnswer("x", shown="d1")).then(reply)
        running(asked).when(c.SubmitAnswer("x")).then(reply)

    def test_the_same_answer_again_says_nothing_and_another_is_refused(self):
        """Whoever answers twice is not told that something went wrong."""
        done = (question("q"), f.UserReplied(key="q", answer="x"))
        running(*done).when(c.SubmitAnswer("x", "q")).then()
        running(*done).when(c.SubmitAnswer("y", "q")).refuses(InvalidInputError, "with 'x'")
        running(*done).when(c.SubmitAnswer(None, "q")).refuses(InvalidInputError, "with 'x'")
        running(*done, COMPLETED).when(c.SubmitAnswer("x", "q")).then()

    def test_several_options_again_with_spaces(self):
        """They are recorded without."""
        asked = question("q", input_type="multiselect", options=OPTIONS)
        reply = f.UserReplied(key="q", answer="no,yes")
        running(asked).when(c.SubmitAnswer("no, yes")).then(reply)
        running(asked, reply).when(c.SubmitAnswer("no , yes", "q")).then()

    def test_late_answers_are_told_why_they_do_not_count(self):
        """Expired, given up, or no question at all."""
        expired = f.UserInputExpired(key="q", answer="x")
        running(question("q"), expired).when(c.SubmitAnswer("x", "q")).refuses(
            InvalidInputError, "has expired"
        )
        given_up = f.OperationCancelled(key="q")
        running(question("q"), given_up).when(c.SubmitAnswer("x", "q")).refuses(
            InvalidInputError, "no more"
        )

    def test_custom_answers_need_leave(self):
        """What is said to be custom is no option, even if it reads like one."""
        asked = question("q", input_type="select", options=OPTIONS)
        custom = c.SubmitAnswer("yes", is_custom=True)
        running(asked).when(custom).refuses(InvalidInputError, "no option")
        free = question("q", input_type="select", options=OPTIONS, allow_custom=True)
        running(free).when(custom).then(f.UserReplied(key="q", answer="yes"))
        running(question("q")).when(custom).then(f.UserReplied(key="q", answer="yes"))

    def test_a_question_by_its_number(self):
        """As programs for the platform name it."""
        two = (question("a"), question("b"))
        running(*two).when(c.SubmitAnswer("x", "user_response:r1:1")).then(
            f.UserReplied(key="b", answer="x")
        )
        for wrong in ("user_response:r1:2", "user_response:r2:1", "user_response:r1:x"):
            running(*two).when(c.SubmitAnswer("x", wrong)).refuses(InvalidInputError, wrong)


class TestRunsOfFunctions:
    """One step, and no body that looks at its outcome: the run ends with it."""

    KEY = ":charge#0"
    OF_FUNCTION = f.RunQueued(component="charge", kind="function", input={})
    DONE = f.StepCompleted(key=KEY, output=7, duration_us=5)
    SUCCESS = c.ReportSuccess(KEY, 0, 7, 5)

    def running(self, *more, queued=OF_FUNCTION):
        """A run of a function whose step is under way."""
        return given(queued, STARTED, step(self.KEY), *more)

    def test_the_result_of_the_step_is_that_of_the_run(self):
        end = f.RunCompleted(output=7)
        self.running().when(self.SUCCESS).then(self.DONE, end).owes(
            e.Resolve(self.DONE), e.CloseBody(), e.Announce(end)
        )

    @pytest.mark.parametrize("fact", [CANCEL, SUSPENDED, f.RunPaused(reason=None)])
    def test_what_may_not_end_well_only_has_its_result(self, fact):
        self.running(fact).when(self.SUCCESS).then(self.DONE)

    def test_of_a_workflow_the_body_says_what_a_result_means(self):
        queued = f.RunQueued(component="charge", kind="workflow", input={})
        self.running(queued=queued).when(self.SUCCESS).then(self.DONE)

    def test_a_step_that_is_not_the_whole_run(self):
        run = given(self.OF_FUNCTION, STARTED, inline(self.KEY), step(":charge#1"))
        run.when(c.ReportSuccess(":charge#1", 0, 7, 5)).decides(f.StepCompleted)
        run.when(self.SUCCESS).decides(f.StepCompleted)

    def test_an_attempt_that_is_not_the_last(self):
        again = self.running().when(c.ReportFailure(self.KEY, 0, ERROR))
        again.decides(f.StepAttemptFailed)
        once = given(self.OF_FUNCTION, STARTED, step(self.KEY, retry=None))
        once.when(c.ReportFailure(self.KEY, 0, ERROR)).decides(f.StepFailed)

    def test_what_an_older_version_has_left_without_an_end(self):
        """It had its result: the body says so once more, and the run ends."""
        end = f.RunCompleted(output=7)
        self.running(self.DONE).when(c.CompleteRun(7)).then(end)
