"""Looks for a schedule under which a workflow goes wrong, and for the smallest one of that kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from agnt5.exceptions import ConfigurationError, InvalidInputError
from agnt5.payloads import encode
from agnt5.testing.draws import Declared, delays, draw_circumstances, draw_crashes, simplest
from agnt5.testing.elsewhere import replay_elsewhere
from agnt5.testing.memory import Memory
from agnt5.testing.regressions import Regressions
from agnt5.testing.report import Counterexample, outside_needed
from agnt5.testing.schedule import Circumstances, Crash, Schedule
from agnt5.testing.seen import Seen, canonical, look_at
from agnt5.testing.subject import Subject
from agnt5.testing.verdict import Problem, Rules, problems_alone, problems_beside
from agnt5.testing.world import RUN, World, play

MOST_POINTS = 400
"""Single crashes that are tried one by one; of a longer run, as many, evenly spread."""
_DRAWN_PLANS = 2
_SWEPT = 8
"""Single crashes that are tried with each example, evenly spread over its run."""
_CALM_KEPT = 256


@dataclass(frozen=True)
class Budget:
    """How long to look."""

    examples: int
    most_crashes: int
    seed: int
    elsewhere: bool = False
    """Whether to replay the simplest run in another process."""


class Search:
    """One search. Not to be used twice."""

    def __init__(
        self, subject: Subject, said: Declared, rules: Rules, budget: Budget, memory: Memory
    ) -> None:
        self.subject = subject
        self.tried = 0
        self.singles = 0
        """Of them, those with one crash at each place of the simplest run."""
        self.is_exhaustive = True
        self._said = said
        self._rules = rules
        self._budget = budget
        self._memory = memory
        self._delays: list[float] = []
        self._calm: dict[str, tuple[World, Seen]] = {}

    def counterexample(self, regressions: Regressions) -> Counterexample | None:
        """The smallest schedule that goes wrong, or None."""
        for schedule in regressions.schedules(self._said.errors()):
            if (found := self._disproof(schedule)) is not None:
                return found
        start = simplest(self._said)
        found = self._single(start) or self._elsewhere(start)
        if found is not None or not self._budget.examples:
            return found
        self._delays = delays(_times(self._calmly(start)[0]))
        return self._drawn()

    def _single(self, around: Circumstances) -> Counterexample | None:
        """Calmly, and with one crash at every place."""
        found = self._disproof(Schedule(around))
        if found is not None:
            self._refuse_if_it_waits(found, around)
            return found
        points = crash_points(self._calmly(around)[0])
        if len(points) > MOST_POINTS:
            self.is_exhaustive = False
            points = points[:: -(-len(points) // MOST_POINTS)]
        for point in points:
            self.singles += 1
            if (found := self._disproof(Schedule(around, (point,)))) is not None:
                return found
        return None

    def _elsewhere(self, around: Circumstances) -> Counterexample | None:
        """The calm run, replayed in another process."""
        if not self._budget.elsewhere:
            return None
        world, seen = self._calmly(around)
        difference = replay_elsewhere(self.subject, RUN, world.disk.stored(RUN))
        if difference is None:
            return None
        said = f"a replay in another process differs:\n{difference}"
        advice = "sets of texts have another order there: sort them"
        problem = Problem("end", said, advice)
        return Counterexample(world, seen, seen, [problem], self.tried, self._budget.seed)

    @staticmethod
    def _refuse_if_it_waits(found: Counterexample, around: Circumstances) -> None:
        outcome = found.seen.outcome
        if outcome.status == "stuck" and not around.moments:
            raise ConfigurationError(outside_needed(around, str(outcome.value)))

    def _drawn(self) -> Counterexample | None:
        from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings  # noqa: PLC0415
        from hypothesis import strategies as st  # noqa: PLC0415 - heavy, and only needed here
        from hypothesis.errors import Flaky  # noqa: PLC0415 - the same

        found: list[Counterexample] = []

        def example(data: Any) -> None:
            one = self._example(data.draw)
            if one is not None:
                found.append(one)
                raise _FoundError

        quiet = settings(
            max_examples=self._budget.examples,
            database=None,
            deadline=None,
            derandomize=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=cast("list[HealthCheck]", [*HealthCheck]),
            verbosity=Verbosity.quiet,
            print_blob=False,
            report_multiple_bugs=False,
        )
        try:
            seed(self._budget.seed)(quiet(given(st.data())(example)))()
        except (_FoundError, Flaky):
            return self._simplified(found[-1])
        return None

    def _example(self, draw: Callable[[Any], Any]) -> Counterexample | None:
        from hypothesis.strategies import integers  # noqa: PLC0415 - only needed here

        around = draw_circumstances(draw, self._said, self._delays)
        try:
            found = self._disproof(Schedule(around))
        except InvalidInputError:
            from hypothesis import reject  # noqa: PLC0415 - the drawn input does not fit

            reject()
        if found is not None:
            return found
        points = [*crash_points(self._calmly(around)[0]), *takeovers(self._calmly(around)[0])]
        most = self._budget.most_crashes
        plans = [draw_crashes(draw, points, most) for _ in range(_DRAWN_PLANS)]
        first = draw(integers(0, len(points) - 1))
        step = -(-len(points) // _SWEPT)
        plans += [(points[(first + n) % len(points)],) for n in range(0, len(points), step)]
        for crashes in dict.fromkeys(plans):
            if (found := self._disproof(Schedule(around, crashes))) is not None:
                return found
        return None

    def _simplified(self, found: Counterexample) -> Counterexample:
        """Fewer crashes, earlier ones, less that is late: hypothesis shrinks what it has drawn."""
        around, crashes = found.schedule.circumstances, found.schedule.crashes
        if around.seed:
            calm = replace(around, seed=0)
            if (simpler := self._disproof(Schedule(calm, crashes))) is not None:
                found, around = simpler, calm
        if not crashes:
            return found
        for point in crash_points(self._calmly(around)[0])[:MOST_POINTS]:
            if (simpler := self._disproof(Schedule(around, (point,)))) is not None:
                return simpler
        return found

    def _calmly(self, around: Circumstances) -> tuple[World, Seen]:
        key = _key(around)
        if key not in self._calm:
            if len(self._calm) >= _CALM_KEPT:
                self._calm.clear()
            world = self._play(Schedule(around))
            self._calm[key] = world, look_at(world)
        return self._calm[key]

    def _play(self, schedule: Schedule) -> World:
        self.tried += 1
        state = random.getstate()
        # Whoever rolls dice in a body rolls the same ones in the first life of every schedule.
        random.seed(schedule.circumstances.seed)
        try:
            return play(self.subject, schedule, self._memory)
        finally:
            random.setstate(state)

    def _disproof(self, schedule: Schedule) -> Counterexample | None:
        calm_world, calm = self._calmly(schedule.circumstances)
        world, seen = calm_world, calm
        if schedule.crashes:
            world = self._play(schedule)
            seen = look_at(world)
        sinks = {**calm_world.sinks, **world.sinks}
        found = problems_alone(seen, self._rules, sinks)
        if schedule.crashes:
            found += problems_beside(calm, seen, self._rules, sinks)
        if not found:
            return None
        return Counterexample(world, seen, calm, found, self.tried, self._budget.seed)


class _FoundError(Exception):
    """Tells hypothesis that an example went wrong."""


def _times(world: World) -> set[float]:
    history = world.disk.history(RUN)
    return {(at - history[0][1]) / 1e6 for _, at in history}


def crash_points(world: World) -> list[Crash]:
    """Every place at which the process of a calm run can die, the earliest first."""
    life = world.lives[0]
    points: list[Crash] = [Crash(number, "effect") for number in range(life.effects)]
    for number in range(life.log.count):
        points += [Crash(number, "before"), Crash(number, "after"), Crash(number, "evicted")]
    return points


def takeovers(world: World) -> Sequence[Crash]:
    """Every place at which another runtime can take the store over."""
    return [Crash(number, "takeover") for number in range(world.lives[0].log.count)]


def _key(around: Circumstances) -> str:
    given = canonical(encode(dict(around.input), where="the input"))
    return f"{given} {around.moments} {around.failing} {around.seed}"
