"""Makes a history that breaks a law shorter, step by step, append by append, word by word.

Hypothesis could do it too, but a store has a disk and threads: it would take minutes, and stop at
the first history that does not fail every time. Here every step is a value that stands alone.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import fields, replace

import agnt5.testing.stores.steps as s
from agnt5.testing.stores.plans import OWNERS, PLAIN_ROW, RUNS, VOLATILE, Put
from agnt5.testing.stores.port import StoreConformanceError
from agnt5.testing.stores.trial import Ground, Trial

Steps = list[s.Step]
_WITH_PUTS = (
    s.Append,
    s.AppendAndGoOn,
    s.WriteSlowly,
    s.Strike,
    s.Crash,
    s.Reopen,
    s.Fill,
    s.View,
)


def replay(ground: Ground, steps: Sequence[s.Step]) -> StoreConformanceError | None:
    """Play steps on a new store; what cannot be done is left out. Answers the broken law."""
    with ExitStack() as stack:
        try:
            with s.told(()):
                trial = Trial(ground)
            stack.callback(_end, trial)
            for step in steps:
                if s.may(trial, type(step)):
                    with s.told(trial.history):
                        step.play(trial)
                        trial.check()
        except StoreConformanceError as failure:
            return failure
    return None


def _end(trial: Trial) -> None:
    # What goes wrong here follows from what went wrong before; a history that ends well is no news.
    with suppress(Exception):
        trial.end()


class Shrinker:
    """Tries shorter histories until none of them breaks the same law, or the time is over."""

    def __init__(
        self, ground: Ground, steps: Steps, failure: StoreConformanceError, seconds: float
    ) -> None:
        self.steps = steps
        self.failure = failure
        self._ground = ground
        self._until = time.monotonic() + seconds

    def run(self) -> StoreConformanceError:
        """The failure of the shortest history."""
        before: Steps = []
        while before != self.steps and not self._is_late():
            before = list(self.steps)
            self._drop_steps()
            self._simplify_steps()
        return self.failure

    def _is_late(self) -> bool:
        return time.monotonic() > self._until

    def _try(self, steps: Steps) -> bool:
        if self._is_late():
            return False
        found = replay(self._ground, steps)
        if found is None or found.law != self.failure.law:
            return False
        self.steps, self.failure = steps, found
        return True

    def _drop_steps(self) -> None:
        size = max(1, len(self.steps) // 2)
        while size:
            start = 0
            while start < len(self.steps) and not self._is_late():
                if not self._try(self.steps[:start] + self.steps[start + size :]):
                    start += size
            size //= 2

    def _simplify_steps(self) -> None:
        for index in range(len(self.steps)):
            simpler = True
            while simpler and not self._is_late():
                simpler = any(
                    self._try([*self.steps[:index], step, *self.steps[index + 1 :]])
                    for step in _simpler(self.steps[index])
                )


def _simpler(step: s.Step) -> Generator[s.Step, None, None]:
    """Steps that do less than this one."""
    if isinstance(step, _WITH_PUTS):
        if step.puts and not isinstance(step, s.Append):
            yield s.Append(step.puts)
        for index, put in enumerate(step.puts):
            rest = [*step.puts[:index], *step.puts[index + 1 :]]
            if rest or isinstance(step, s.Crash | s.Reopen | s.Fill):
                yield replace(step, puts=rest)
            for simple in _simpler_puts(put):
                yield replace(step, puts=[*step.puts[:index], simple, *step.puts[index + 1 :]])
    elif isinstance(step, s.Claim):
        yield from _simpler_claims(step)
    elif isinstance(step, s.Read):
        if step.upto is not None:
            yield replace(step, upto=None)
        if step.limit is not None:
            yield replace(step, limit=None)


def _simpler_claims(step: s.Claim) -> Generator[s.Step, None, None]:
    if step.owner != OWNERS[0]:
        yield replace(step, owner=OWNERS[0])
    if step.then_release == "old":
        yield replace(step, then_release="new")


def _simpler_puts(put: Put) -> Generator[Put, None, None]:
    if put.stream == VOLATILE:
        yield Put(RUNS[0], put.facts, put.off, urgent=put.urgent)
    elif put.stream != RUNS[0]:
        yield replace(put, stream=RUNS[0])
    if put.row not in (None, PLAIN_ROW):
        yield replace(put, row=PLAIN_ROW)
    if put.stream == VOLATILE:
        return
    plain = Put(put.stream)
    for each in fields(put):
        if getattr(put, each.name) != getattr(plain, each.name):
            yield replace(put, **{each.name: getattr(plain, each.name)})
