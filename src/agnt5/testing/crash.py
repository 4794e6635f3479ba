"""``crash_everywhere``: kill a workflow at every moment, and see that nothing changes."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from agnt5.exceptions import ConfigurationError
from agnt5.testing.memory import Memory
from agnt5.testing.regressions import Regressions, regressions_of
from agnt5.testing.report import Counterexample
from agnt5.testing.seen import Outcome
from agnt5.testing.subject import Subject, subject_of
from agnt5.testing.verdict import Rules

T = TypeVar("T")
_SUBMITTED = ("session_id", "user_id", "metadata", "version")


class DisprovedError(AssertionError):
    """A workflow does not survive a crash. Its text is the report.

    Attributes:
        found: The counterexample: its schedule, both runs, what differs.
    """

    def __init__(self, found: Counterexample) -> None:
        super().__init__(str(found))
        self.found = found


@dataclass(frozen=True)
class Verdict:
    """Nothing was found. That is no proof."""

    workflow: str
    tried: int
    """Schedules that were played, calm ones included."""
    singles: int
    """Of them, those with one crash."""
    is_exhaustive: bool
    """Whether these are all places at which the simplest run can crash once."""

    def __str__(self) -> str:
        """``not disproved by 212 schedules``."""
        every = "every" if self.is_exhaustive else "not every"
        return (
            f"{self.workflow!r} is not disproved by {self.tried} schedules"
            f" ({self.singles} single crashes: {every} place of the simplest run)"
        )


def crash_everywhere(
    tested: object,
    input: Mapping[str, object] | None = None,  # noqa: A002 - what it is
    *,
    signals: Mapping[str, object] | Sequence[tuple[str, object]] = (),
    answers: Mapping[str, object] | Sequence[tuple[str, object]] = (),
    failures: Mapping[Any, Any] | None = None,
    cancels: bool = False,
    same: Callable[[Any], object] | None = None,
    racy: bool = False,
    check: Callable[[Outcome], object] | None = None,
    examples: int | None = None,
    most_crashes: int = 3,
    forgets: Sequence[ModuleType] | None = None,
    seed: int = 0,
    regressions: str | Path | bool | None = None,
    **submitted: Any,
) -> Verdict:
    """Run a workflow calmly, then crash it at every moment, and compare.

    First one crash at every place of the simplest run: before and after each append to its log,
    and right after each effect. Then schedules that hypothesis draws: inputs, when signals and
    answers come, which steps fail, what comes late or twice, several crashes, and the takeover of
    the store by another runtime. What differs from the calm run is shrunk to the smallest schedule.

    It blocks until it is done, also in async code: the simulations have event loops of their own.

    Args:
        tested: A workflow or function, a ``Workflow`` class, or a name.
        input: Its arguments by name. A value that is a hypothesis strategy is drawn; what is not
            given and has no default is drawn from its annotation.
        signals: Signals that come, by name, with their payloads; pairs if one comes twice.
        answers: Answers to questions, by the question or a pattern such as ``"Approve *"``. Of
            several for one question, each is used once, and the last one for the rest.
        failures: Functions whose first attempts may fail, with the types of exceptions.
        cancels: Whether somebody may cancel the run at any time.
        same: What of a result must be the same as in the calm run, such as ``lambda r: r.total``;
            by default all of it, with its type.
        racy: The result may depend on which of two things comes first. It is then not compared
            with the calm run: only suspensions, runs that never end, effects outside of steps or
            too often, and ``check`` count.
        check: Called with the outcome of every run; raises AssertionError for a wrong one.
        examples: How many examples to draw; by default ``max_examples`` of the present profile of
            hypothesis. 0 draws none, as within a test of hypothesis, which draws by itself.
        most_crashes: Crashes in one drawn schedule, at most.
        forgets: Modules whose globals a dying process forgets: plain values, containers and caches
            are put back to what they were at the start. By default the module of the workflow; an
            empty list for none. What must survive, as the outside world does, goes into
            :class:`Effects` or an object of a class.
        seed: Of everything that is drawn; the same seed finds the same.
        regressions: Where to keep what was found, to try it first the next time: a file; by
            default one named after the test, under ``.agnt5/regressions`` or the folder that the
            variable ``AGNT5_REGRESSIONS`` names; False, or ``off`` in the variable: nowhere.
        submitted: ``session_id``, ``user_id``, ``metadata`` and ``version`` of the run.

    Returns:
        How many schedules did not disprove it.

    Raises:
        DisprovedError: With the report. It is an AssertionError.
        ConfigurationError: When the test does not say enough, or too much.
        InvalidInputError: When the input does not fit.

    >>> from agnt5 import function, workflow
    >>> @function
    ... async def add(n: int) -> int:
    ...     return n + 1
    >>> @workflow
    ... async def twice(ctx, n: int) -> int:
    ...     return await ctx.step(add, await ctx.step(add, n))
    >>> print(crash_everywhere(twice, {"n": 1}, examples=0))
    'twice' is not disproved by 19 schedules (18 single crashes: every place of the simplest run)
    """
    __tracebackhide__ = True
    _check_submitted(submitted)
    subject = subject_of(tested, submitted)
    from agnt5.testing.draws import declared  # noqa: PLC0415 - hypothesis is heavy
    from agnt5.testing.search import Budget, Search  # noqa: PLC0415 - the same

    said = declared(subject, input, signals, answers, failures or {}, cancels=cancels)
    budget = Budget(_examples(examples), most_crashes, seed)
    memory = Memory([subject.function.__globals__] if forgets is None else forgets)
    search = Search(subject, said, Rules(same, racy, check), budget, memory)
    kept = regressions_of(subject.name, regressions)
    try:
        found = off_this_loop(lambda: search.counterexample(kept))
    finally:
        memory.forget()
    if found is not None:
        raise DisprovedError(_completed(found, kept, subject))
    return Verdict(subject.name, search.tried, search.singles, search.is_exhaustive)


def _completed(found: Counterexample, kept: Regressions, subject: Subject) -> Counterexample:
    source = inspect.getsourcefile(inspect.unwrap(subject.function))
    return replace(found, kept=kept.keep(found.schedule), source=source)


def _check_submitted(submitted: Mapping[str, object]) -> None:
    for name in submitted:
        if name not in _SUBMITTED:
            msg = f"crash_everywhere has no {name!r}; a run is submitted with {_SUBMITTED}"
            raise ConfigurationError(msg)


def _examples(given: int | None) -> int:
    from hypothesis import currently_in_test_context, settings  # noqa: PLC0415 - it is heavy

    if given is None:
        if currently_in_test_context():
            return 0
        return settings.default.max_examples if settings.default is not None else 100
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise ConfigurationError(f"examples takes a number, 0 or more, not {given!r}")
    return given


def off_this_loop(call: Callable[[], T]) -> T:
    """Call it here, or on a thread of its own where an event loop runs, or hypothesis draws."""
    if not _is_loop_running() and not _is_property_running():
        return call()
    results: list[T] = []
    errors: list[BaseException] = []
    context = copy_context()

    def work() -> None:
        try:
            results.append(context.run(call))
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            errors.append(error)

    thread = threading.Thread(target=work, name="agnt5-simulation", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_property_running() -> bool:
    """Whether hypothesis would complain of a search within its own."""
    hypothesis = sys.modules.get("hypothesis")
    return hypothesis is not None and bool(hypothesis.currently_in_test_context())
