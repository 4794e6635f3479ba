"""``crash_everywhere``: kill a workflow at every moment, and see that nothing changes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Unpack

from agnt5.exceptions import ConfigurationError
from agnt5.testing.apart import off_this_loop
from agnt5.testing.memory import Memory
from agnt5.testing.options import Options, submitted
from agnt5.testing.regressions import Regressions, regressions_of
from agnt5.testing.report import Counterexample
from agnt5.testing.subject import Subject, subject_of
from agnt5.testing.verdict import Rules

if TYPE_CHECKING:
    from agnt5.testing.search import Search


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
    **options: Unpack[Options],
) -> Verdict:
    """Run a workflow calmly, then crash it at every moment, and compare.

    First one crash at every place of the simplest run: before and after each append to its log,
    and right after each effect. Then schedules that hypothesis draws: inputs, when signals and
    answers come, which steps fail, what comes late or twice, several crashes, and the takeover of
    the store by another runtime. What differs from the calm run is shrunk to the smallest schedule.

    It blocks until it is done, also in async code.

    Args:
        tested: A workflow or function, a ``Workflow`` class, or a name.
        input: Its arguments by name. A value that is a hypothesis strategy is drawn; what is not
            given and has no default is drawn from its annotation.
        options: See :class:`agnt5.testing.Options`: ``signals``, ``answers``, ``check``...

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
    subject = subject_of(tested, submitted(options))
    kept = regressions_of(subject.name, options.get("regressions"))
    memory = Memory(_forgetful(subject, options))
    search = _search(subject, input, options, memory)
    try:
        found = off_this_loop(lambda: search.counterexample(kept))
    finally:
        memory.forget()
    if found is not None:
        raise DisprovedError(_completed(found, kept, subject))
    return Verdict(subject.name, search.tried, search.singles, search.is_exhaustive)


def _forgetful(subject: Subject, options: Options) -> Sequence[ModuleType | dict[str, object]]:
    modules = options.get("forgets")
    return [subject.function.__globals__] if modules is None else modules


def _search(
    subject: Subject, given: Mapping[str, object] | None, options: Options, memory: Memory
) -> Search:
    try:
        from agnt5.testing.draws import declared  # noqa: PLC0415 - hypothesis is heavy
        from agnt5.testing.search import Budget, Search  # noqa: PLC0415 - the same
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        msg = "crash_everywhere needs hypothesis: pip install 'agnt5-actors[testing]'"
        raise ConfigurationError(msg) from error
    said = declared(
        subject,
        given,
        options.get("signals", ()),
        options.get("answers", ()),
        options.get("failures", {}),
        cancels=options.get("cancels", False),
    )
    examples = _examples(options.get("examples"))
    most, seed = options.get("most_crashes", 3), options.get("seed", 0)
    budget = Budget(examples, most, seed, options.get("elsewhere", False))
    rules = Rules(
        options.get("same"),
        options.get("racy", False),
        options.get("check"),
        options.get("contracts", ()),
    )
    return Search(subject, said, rules, budget, memory)


def _completed(found: Counterexample, kept: Regressions, subject: Subject) -> Counterexample:
    source = inspect.getsourcefile(inspect.unwrap(subject.function))
    return replace(found, kept=kept.keep(found.schedule), source=source)


def _examples(given: int | None) -> int:
    from hypothesis import currently_in_test_context, settings  # noqa: PLC0415 - it is heavy

    if given is None:
        if currently_in_test_context():
            return 0
        return settings.default.max_examples if settings.default is not None else 100
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise ConfigurationError(f"examples takes a number, 0 or more, not {given!r}")
    return given
