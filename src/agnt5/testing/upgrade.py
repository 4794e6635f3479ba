"""Histories generated from the old code, replayed on the new code: may it be deployed?

For when there are no recorded histories yet, or too few: hypothesis draws inputs, the old workflow
runs in memory on a clock that jumps, its history is cut at every event, and each piece is replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agnt5.exceptions import ConfigurationError
from agnt5.registry import Component
from agnt5.signatures import Signature
from agnt5.testing.recording import record_async
from agnt5.testing.replay import component_of, replay_async

STALL_LIMIT_S = 0.2
"""Nothing real is waited for in memory: a body that does not move for so long never will."""


def check_upgrade(
    old: object,
    new: object,
    inputs: st.SearchStrategy[Mapping[str, Any]] | None = None,
    *,
    signals: Mapping[str, object] | None = None,
    answers: Mapping[str, object] | None = None,
    max_examples: int = 50,
    strict: bool = False,
    stall_limit: float = STALL_LIMIT_S,
) -> None:
    """Check that runs which the old code has begun, wherever they stand, go on with the new code.

    Says "not disproved", never "proved": what no drawn input reaches is not checked.

    Args:
        old: The workflow as it is deployed. Its steps are executed, so use functions for tests.
        new: The workflow as it shall be deployed. Nothing of it is executed but its body.
        inputs: What to draw inputs from; by default from the type hints of the old workflow.
        signals: By name, what a signal brings that a run waits for; a list brings several.
        answers: By the text of a question, what a person answers.
        max_examples: How many inputs to draw; 50 by default.
        strict: Whether changed arguments and results are failures, too.
        stall_limit: As for :func:`agnt5.testing.replay.replay`; 0.2 seconds by default.

    Raises:
        AssertionError: With the smallest input that was found, the event at which its history was
            cut, and the report. Also when not even the old code does the same again: then it is
            not deterministic.
        ConfigurationError: When one of the two is no workflow.

    >>> from agnt5 import workflow
    >>> @workflow(name="total", version="1")
    ... async def total(ctx, prices: list[int]) -> int:
    ...     return sum([await ctx.step(f"tax of {p}", lambda p=p: p * 2) for p in prices])
    >>> @workflow(name="total", version="2")
    ... async def total_2(ctx, prices: list[int]) -> int:
    ...     return sum([await ctx.step(f"tax of {p}", lambda p=p: p * 2) for p in sorted(prices)])
    >>> check_upgrade(total, total, max_examples=10)
    >>> try:
    ...     check_upgrade(total, total_2)
    ... except AssertionError as error:
    ...     print(str(error).splitlines()[0])
    with the input {'prices': [...]}, cut after event 3 of ...:
    """
    upgrade = _Upgrade(component_of(old), component_of(new), signals, answers, strict, stall_limit)
    _for_each(_inputs_of(upgrade.old) if inputs is None else inputs, upgrade, max_examples)


def _for_each(
    inputs: st.SearchStrategy[Mapping[str, Any]], upgrade: _Upgrade, max_examples: int
) -> None:
    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.generate, Phase.shrink],
    )
    @given(inputs)
    def each(given_input: Mapping[str, Any]) -> None:
        asyncio.run(upgrade.check(given_input))

    each()


@dataclass(frozen=True, slots=True)
class _Upgrade:
    """One change of one workflow."""

    old: Component
    new: Component
    signals: Mapping[str, object] | None
    answers: Mapping[str, object] | None
    strict: bool
    stall_limit: float

    async def check(self, given_input: Mapping[str, Any]) -> None:
        """Record a run of the old code, and replay each beginning of it on the new code."""
        history = await record_async(
            self.old, given_input, signals=self.signals, answers=self.answers
        )
        for version in range(1, len(history.events) + 1):
            cut = history.upto(version)
            found = await replay_async(cut, self.new, stall_limit=self.stall_limit)
            if found.is_exact if self.strict else found.is_compatible:
                continue
            where = f"with the input {given_input!r}, cut after event {version} of"
            where = f"{where} {len(history.events)}:"
            itself = await replay_async(cut, self.old, stall_limit=self.stall_limit)
            if not itself.is_compatible:
                msg = "not even the old code does the same again: it is not deterministic"
                raise AssertionError(f"{where}\n{msg}\n{itself}")
            raise AssertionError(f"{where}\n{found}")


def _inputs_of(component: Component) -> st.SearchStrategy[Mapping[str, Any]]:
    signature: Signature | None = getattr(component, "_signature", None)
    if signature is None:
        msg = f"{component.name!r} has no signature to draw inputs from: pass inputs="
        raise ConfigurationError(msg)
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        hint = signature.hint(name)
        if hint is None:
            msg = f"{name!r} of {component.name!r} has no type hint to draw from: pass inputs="
            raise ConfigurationError(msg)
        to = required if parameter.default is parameter.empty else optional
        to[name] = st.from_type(hint)
    return st.fixed_dictionaries(required, optional=optional)
