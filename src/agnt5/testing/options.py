"""What a test may say to :func:`crash_everywhere`, beside the workflow and its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

from agnt5.contracts import Contract
from agnt5.exceptions import ConfigurationError
from agnt5.testing.seen import Outcome


class Options(TypedDict, total=False):
    """The options of :func:`crash_everywhere`. All of them may be left out."""

    signals: Mapping[str, object] | Sequence[tuple[str, object]]
    """Signals that come, by name, with their payloads; pairs if one comes twice."""
    answers: Mapping[str, object] | Sequence[tuple[str, object]]
    """Answers to questions, by the question or a pattern such as ``"Approve *"``. Of several for
    one question, each is used once, and the last one for the rest."""
    failures: Mapping[Any, type[Exception] | Sequence[type[Exception]]]
    """Functions, or their names, whose first attempts may fail, with the types of exceptions."""
    cancels: bool
    """Whether somebody may cancel the run at any time; by default nobody does."""
    same: Callable[[Any], object] | None
    """What of a result must be the same as in the calm run, such as ``lambda r: r.total``; by
    default all of it, with its type."""
    racy: bool
    """The result may depend on which of two things comes first: a run is not compared with the
    calm one. Only suspensions, runs that never end, effects outside of steps or too often,
    ``contracts`` and ``check`` count then. False by default."""
    check: Callable[[Outcome], object] | None
    """Called with the outcome of every run; raises AssertionError for a wrong one."""
    contracts: Sequence[Contract]
    """What must hold of the log of every run, see :mod:`agnt5.contracts`."""
    examples: int | None
    """How many examples to draw; by default ``max_examples`` of the present profile of hypothesis.
    0 draws none, as within a test of hypothesis, which draws by itself."""
    most_crashes: int
    """Crashes in one drawn schedule, at most; 3 by default."""
    forgets: Sequence[ModuleType] | None
    """Modules whose globals a dying process forgets: plain values, containers and caches are put
    back to what they were at the start. By default the module of the workflow; an empty list for
    none. What must survive, as the outside world does, goes into :class:`Effects` or an object of
    a class."""
    elsewhere: bool
    """Whether the simplest run is also replayed in a new process, in which sets of texts have
    another order. The module of the workflow is imported there. False by default."""
    seed: int
    """Of everything that is drawn, 0 by default; the same seed finds the same."""
    regressions: str | Path | bool | None
    """Where to keep what was found, to try it first the next time: a file; by default one named
    after the test, under ``.agnt5/regressions`` or the folder that the variable
    ``AGNT5_REGRESSIONS`` names; False, or ``off`` in the variable: nowhere."""
    session_id: str
    """Of every run, as for :meth:`agnt5.Client.run`."""
    user_id: str
    """The same."""
    metadata: Mapping[str, Any]
    """The same."""
    version: str
    """The same."""


_SUBMITTED = ("session_id", "user_id", "metadata", "version")
_MOST = 20


def submitted(options: Options) -> dict[str, Any]:
    """With what every run is submitted.

    Raises:
        ConfigurationError: When an option is unknown or makes no sense.
    """
    for name in options:
        if name not in Options.__annotations__:
            known = ", ".join(sorted(Options.__annotations__))
            raise ConfigurationError(f"crash_everywhere has no option {name!r}; it has: {known}")
    for each in options.get("contracts", ()):
        if not isinstance(each, Contract):
            msg = f"contracts takes what agnt5.contracts makes, such as never(...), not {each!r}"
            raise ConfigurationError(msg)
    most = options.get("most_crashes", 1)
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= _MOST:
        raise ConfigurationError(f"most_crashes takes a number from 1 to {_MOST}, not {most!r}")
    given = dict(options.items())
    return {name: given[name] for name in _SUBMITTED if name in given}
