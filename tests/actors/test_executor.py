"""Attempts of one function: a limit, a deadline each, a report each, whatever user code does."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest
from tests.actors.tools import HOUSE, turns, turns_until

from agnt5.actors.clock import ManualClock
from agnt5.actors.executor import Attempt, AttemptDefaults, Cancel, Executor, Failure, Success
from agnt5.actors.ports import AttemptInfo, FunctionWork
from agnt5.actors.threads import Threads
from agnt5.exceptions import BodyClosed, ExecutionError, PayloadError, StepTimeoutError
from agnt5.flow import RateLimit
from agnt5.payloads import encode
from agnt5.policies import RetryPolicy


class Work:
    """A handler: a user function as the executor sees it."""

    verify_on_thread = False

    def __init__(
        self, function, *, concurrency=None, timeout_s=None, on_thread=False, rate=None, policy=None
    ) -> None:
        self.rate, self.policy = rate, policy
        self.name = "work"
        self.function = function
        self.concurrency, self.timeout_s, self.on_thread = concurrency, timeout_s, on_thread

    def is_retryable(self, error):
        return None if self.policy is None else self.policy.allows(error)

    def verify(self, info, args, kwargs):
        return self.function(*args, **kwargs)

    def call(self, info, args, kwargs):
        return self.function(*args, **kwargs)


class Shop:
    """One executor, and what it reports."""

    def __init__(self, handler: Work, defaults=None) -> None:
        self.threads = Threads(4)
        self.reports: dict[str, Success | Failure] = {}
        self.clock = ManualClock()
        self.executor = Executor(
            handler,
            HOUSE,
            encode=lambda v, where: encode(v, where=where),
            threads=self.threads,
            clock=self.clock,
            defaults=defaults or AttemptDefaults(),
        )

    def send(self, key: str, *args, **kwargs) -> None:
        """An attempt of a step."""
        work = FunctionWork(self.executor.handler, args, kwargs)
        info = AttemptInfo("r1", key, "work", 0)
        self.executor.tell(Attempt(info, work, self.note))

    def note(self, info, result) -> None:
        assert info.key not in self.reports, "an attempt reports once"
        self.reports[info.key] = result

    def cancel(self, key: str) -> None:
        """Nobody wants it any more."""
        self.executor.tell(Cancel("r1", key))

    async def report(self, key: str = "a"):
        """What the attempt reports."""
        while key not in self.reports:  # threads take their time
            await asyncio.sleep(0)
        return self.reports[key]


@pytest.fixture
async def shop():
    made = []

    def open_shop(function, **settings):
        made.append(Shop(Work(function, **settings)))
        return made[-1]

    yield open_shop
    for one in made:
        await one.executor.close()
        one.threads.close()


class Gates:
    """A function whose calls end when they are let go."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.Event] = {}
        self.begun: list[str] = []
        self.most = 0
        self.ended: list[str] = []

    async def __call__(self, name):
        gate = self.running[name] = asyncio.Event()
        self.begun.append(name)
        self.most = max(self.most, len(self.running))
        try:
            await gate.wait()
        finally:
            del self.running[name]
            self.ended.append(name)
        return name


class TestReports:
    async def test_a_result(self, shop):
        async def add(a, b=0):
            return (a, b)

        one = shop(add)
        one.send("a", 1, b=2)
        result = await one.report()
        assert isinstance(result, Success)
        assert result.value == (1, 2)
        assert result.output == {"$": "tuple", "v": [1, 2]}
        assert result.duration_us >= 0

    async def test_an_error_may_be_retried(self, shop):
        async def fail():
            raise KeyError("sku")

        one = shop(fail)
        one.send("a")
        result = await one.report()
        assert isinstance(result, Failure)
        assert result.retryable
        assert repr(result.error) == "KeyError('sku')"

    async def test_a_function_that_fails_before_it_waits(self, shop):
        def broken():
            raise TypeError("no coroutine at all")

        one = shop(broken)
        one.send("a")
        assert isinstance((await one.report()).error, TypeError)

    async def test_a_result_that_cannot_be_recorded_is_not_retried(self, shop):
        """It would be the same the next time, and its effect would happen again."""

        async def odd():
            return object()

        one = shop(odd)
        one.send("a")
        result = await one.report()
        assert isinstance(result.error, PayloadError)
        assert not result.retryable
        assert "result of step 'work' ('a')" in str(result.error)

    @pytest.mark.parametrize("error", [SystemExit(3), BodyClosed()], ids=repr)
    @pytest.mark.parametrize("on_thread", [False, True])
    async def test_what_would_end_the_loop_fails_the_attempt(self, shop, error, on_thread):
        async def leave():
            raise error

        def leave_at_once():
            raise error

        one = shop(leave_at_once if on_thread else leave, on_thread=on_thread)
        one.send("a")
        result = await one.report()
        assert result.retryable
        assert isinstance(result.error, BaseException)
        await turns()

    async def test_a_function_that_cancels_itself_has_failed(self, shop):
        """Nobody asked for it: this is no cancellation of the run."""

        async def give_up():
            raise asyncio.CancelledError("enough")

        one = shop(give_up)
        one.send("a")
        result = await one.report()
        assert isinstance(result.error, ExecutionError)
        assert "cancelled by its own code" in str(result.error)
        assert result.retryable

    async def test_a_function_that_cancels_its_own_task_has_failed(self, shop):
        async def give_up():
            asyncio.current_task().cancel()
            await asyncio.sleep(0)

        one = shop(give_up)
        one.send("a")
        assert isinstance((await one.report()).error, ExecutionError)


class TestThreads:
    async def test_blocking_functions_run_beside_the_loop(self, shop):
        one = shop(threading.get_ident, on_thread=True)
        one.send("a")
        assert (await one.report()).value != threading.get_ident()

    async def test_their_errors(self, shop):
        def fail():
            raise StopIteration("end")

        one = shop(fail, on_thread=True)
        one.send("a")
        result = await one.report()
        assert isinstance(result.error, RuntimeError)

    async def test_a_cancelled_one_is_abandoned(self, shop):
        """A thread cannot be stopped; the next attempt need not wait for it."""
        begun, gate = threading.Event(), threading.Event()

        def block(wait):
            if wait:
                begun.set()
                gate.wait(10)
            return wait

        one = shop(block, on_thread=True, concurrency=1)
        one.send("a", True)
        one.send("b", False)
        while not begun.is_set():
            await asyncio.sleep(0)
        one.cancel("a")
        assert (await one.report("b")).value is False
        gate.set()
        await turns()
        assert list(one.reports) == ["b"]


class TestLimits:
    async def test_without_a_limit_all_run_at_once(self, shop):
        gates = Gates()
        one = shop(gates)
        for n in range(50):
            one.send(f"{n}", f"{n}")
        await turns(3)
        assert len(gates.running) == 50

    async def test_a_limit_is_never_exceeded_and_the_others_wait_in_line(self, shop):
        gates = Gates()
        one = shop(gates, concurrency=2)
        for name in "abcde":
            one.send(name, name)
        await turns()
        assert gates.begun == ["a", "b"]
        assert one.executor.is_busy
        gates.running["b"].set()
        await turns()
        assert gates.begun == ["a", "b", "c"]
        while gates.running:
            next(iter(gates.running.values())).set()
            await turns()
        assert gates.begun == list("abcde")
        assert gates.most == 2
        assert list(one.reports) == ["b", "a", "c", "d", "e"]
        assert not one.executor.is_busy

    async def test_the_same_key_of_two_runs_is_two_attempts(self, shop):
        gates = Gates()
        one = shop(gates)
        one.send("a", "first")
        work = FunctionWork(one.executor.handler, ("second",), {})
        told = []
        info = AttemptInfo("r2", "a", "work", 0)
        one.executor.tell(Attempt(info, work, lambda *_: told.append(1)))
        await turns(3)
        one.cancel("a")
        gates.running["second"].set()
        await turns()
        assert told == [1]
        assert one.reports == {}


class TestLetters:
    """A letter is read on the spot: what it begins waits for its turn itself."""

    async def test_an_attempt_begins_without_a_turn_of_its_own_for_its_letter(self):
        begun = []

        async def work():
            begun.append(1)

        shop = Shop(Work(work))
        shop.send("a")
        assert shop.executor.is_idle
        assert shop.executor.counts() == {"running": 1, "waiting": 0}
        assert not begun, "nothing of the user's runs within whoever sent the letter"
        await turns(1)
        assert begun

    async def test_whoever_sent_it_does_not_fail_with_it(self, caplog):
        shop = Shop(Work(None, concurrency="two"))  # which no number can be compared with
        shop.send("a")
        assert "function work failed" in caplog.text
        assert not shop.executor.is_busy


class TestCancelling:
    async def test_a_waiting_attempt_never_begins(self, shop):
        gates = Gates()
        one = shop(gates, concurrency=1)
        for name in "abc":
            one.send(name, name)
        await turns(3)
        one.cancel("b")
        await turns(3)
        gates.running["a"].set()
        await turns()
        assert gates.begun == ["a", "c"]
        assert "b" not in one.reports

    async def test_a_running_attempt_is_stopped_and_reports_nothing(self, shop):
        gates = Gates()
        one = shop(gates, concurrency=1)
        one.send("a", "a")
        one.send("b", "b")
        await turns(3)
        one.cancel("a")
        await turns()
        assert gates.ended == ["a"]
        assert gates.begun == ["a", "b"]
        assert one.reports == {}

    async def test_an_attempt_that_is_cancelled_in_its_first_moment_never_begins(self, shop):
        gates = Gates()
        one = shop(gates)
        one.send("a", "a")
        one.cancel("a")
        await turns()
        assert gates.begun == []
        assert one.reports == {}

    @pytest.mark.parametrize("end", ["returns", "fails"])
    async def test_an_attempt_that_will_not_be_stopped_reports_nothing(self, shop, end):
        gate = asyncio.Event()

        async def stubborn():
            with suppress(asyncio.CancelledError):
                await gate.wait()
            if end == "fails":
                raise ValueError("late")
            return "late"

        one = shop(stubborn)
        one.send("a")
        await turns(3)
        one.cancel("a")
        await turns()
        assert one.reports == {}

    async def test_cancelling_what_is_over_or_unknown_does_nothing(self, shop):
        async def quick():
            return 1

        one = shop(quick)
        one.send("a")
        await one.report()
        one.cancel("a")
        one.cancel("unknown")
        await turns()
        assert list(one.reports) == ["a"]

    async def test_close_ends_everything_and_reports_nothing(self, shop):
        """The attempts are owed, and run again at the next start."""
        gates = Gates()
        one = shop(gates, concurrency=1)
        one.send("a", "a")
        one.send("b", "b")
        await turns(3)
        await one.executor.close()
        await turns()
        assert gates.begun == gates.ended == ["a"]
        assert one.reports == {}

    async def test_close_waits_for_what_was_cancelled_before(self, shop):
        """No attempt outlives its executor."""
        cleaned = []

        async def careful():
            try:
                await asyncio.Event().wait()
            finally:
                await turns(10)
                cleaned.append(1)

        one = shop(careful)
        one.send("a")
        await turns(3)
        one.cancel("a")
        await turns(3)
        await one.executor.close()
        assert cleaned == [1]


class TestTimeouts:
    async def test_an_attempt_that_takes_too_long(self, shop):
        gates = Gates()
        one = shop(gates, timeout_s=0)
        one.send("a", "a")
        result = await one.report()
        assert isinstance(result.error, StepTimeoutError)
        assert isinstance(result.error, TimeoutError)
        assert str(result.error) == "function 'work' did not end within its timeout of 0 ms"
        assert result.retryable
        assert gates.running == {}

    async def test_in_time(self, shop):
        async def quick():
            return 1

        one = shop(quick, timeout_s=60)
        one.send("a")
        assert (await one.report()).value == 1

    async def test_the_users_own_timeout_is_an_error_like_any_other(self, shop):
        async def slow():
            raise TimeoutError("the bank is slow")

        one = shop(slow, timeout_s=60)
        one.send("a")
        result = await one.report()
        assert type(result.error) is TimeoutError
        assert str(result.error) == "the bank is slow"

    async def test_what_user_code_makes_of_its_timeout_counts(self, shop):
        """It may clean up and raise something else."""

        async def slow():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise OSError("the line was cut") from None

        one = shop(slow, timeout_s=0)
        one.send("a")
        assert isinstance((await one.report()).error, OSError)

    async def test_a_timeout_within_the_function_is_its_own_business(self, shop):
        async def tries():
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            return "went on"

        one = shop(tries, timeout_s=60)
        one.send("a")
        assert (await one.report()).value == "went on"

    async def test_a_blocking_function_is_left_behind(self, shop):
        gate = threading.Event()
        one = shop(lambda: gate.wait(10), timeout_s=0, on_thread=True)
        one.send("a")
        assert isinstance((await one.report()).error, StepTimeoutError)
        gate.set()

    async def test_waiting_in_line_takes_no_time(self, shop):
        """The timeout is of the attempt, not of its queue."""
        gates = Gates()
        one = shop(gates, concurrency=1, timeout_s=60)
        one.send("a", "a")
        one.send("b", "b")
        await turns_until(lambda: "a" in gates.running)
        gates.running["a"].set()
        await turns_until(lambda: "b" in gates.running)
        gates.running["b"].set()
        assert (await one.report("b")).value == "b"


class TestRate:
    """Starts by the clock."""

    async def test_what_must_wait_is_not_started(self, shop):
        started = []

        async def note(name):
            started.append(name)

        one = shop(note, rate=RateLimit(2, 1.0))
        for name in "abcde":
            one.send(name, name)
        await turns()
        assert started == ["a", "b"]
        assert not one.executor.is_busy, "a closing house need not wait for the clock"
        one.clock.advance(1)
        await turns()
        assert started == ["a", "b", "c", "d"]
        one.clock.advance(1)
        await turns()
        assert started == ["a", "b", "c", "d", "e"]
        assert one.clock.next_due() is None

    async def test_a_cancelled_one_gives_its_turn_to_the_next(self, shop):
        started = []

        async def note(name):
            started.append(name)

        one = shop(note, rate=RateLimit(1, 1.0))
        for name in "abc":
            one.send(name, name)
        await turns()
        one.cancel("b")
        await turns()
        one.clock.advance(1)
        await turns()
        assert started == ["a", "c"]

    async def test_with_a_limit_of_how_many_at_once(self, shop):
        gates = Gates()
        one = shop(gates, rate=RateLimit(2, 1.0), concurrency=1)
        for name in "abc":
            one.send(name, name)
        await turns()
        assert gates.begun == ["a"]
        gates.running["a"].set()
        await turns()
        assert gates.begun == ["a", "b"]
        gates.running["b"].set()
        await turns()
        assert gates.begun == ["a", "b"]
        one.clock.advance(1)
        await turns()
        assert gates.begun == ["a", "b", "c"]
        gates.running["c"].set()


class TestWhatIsRetried:
    """The policy is asked where the attempt failed."""

    @pytest.mark.parametrize(
        ("policy", "error", "expected"),
        [
            (None, OSError, True),
            (RetryPolicy(), OSError, True),
            (RetryPolicy(non_retryable=(OSError,)), ConnectionError, False),
            (RetryPolicy(non_retryable=["ConnectionError"]), ConnectionResetError, False),
            (RetryPolicy(non_retryable="builtins:OSError"), ConnectionResetError, False),
            (RetryPolicy(non_retryable="other:OSError"), OSError, True),
            (RetryPolicy(retry_if=lambda error: isinstance(error, OSError)), OSError, True),
            (RetryPolicy(retry_if=lambda error: isinstance(error, OSError)), ValueError, False),
        ],
    )
    async def test_policy(self, shop, policy, error, expected):
        async def fails():
            raise error("no")

        one = shop(fails, policy=policy)
        one.send("a")
        assert (await one.report()).retryable is expected

    async def test_a_predicate_that_fails_ends_the_attempts(self, shop, caplog):
        async def fails():
            raise OSError("down")

        one = shop(fails, policy=RetryPolicy(retry_if=lambda _: 1 // 0))
        one.send("a")
        report = await one.report()
        assert isinstance(report.error, OSError)
        assert not report.retryable
        assert "retry_if failed" in caplog.text

    async def test_the_defaults_of_the_house(self):
        async def slow():
            await asyncio.sleep(60)

        defaults = AttemptDefaults(0.001, RetryPolicy(non_retryable=TimeoutError))
        one = Shop(Work(slow), defaults)
        one.send("a")
        report = await one.report()
        assert isinstance(report.error, StepTimeoutError)
        assert not report.retryable
        await one.executor.close()
        one.threads.close()
