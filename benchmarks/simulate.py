"""How fast the proof kit plays: a workflow of ten steps, calmly and with a crash at every place.

python benchmarks/simulate.py
"""

import statistics
import time

from agnt5 import WorkflowContext, function, workflow
from agnt5.testing import crash_everywhere
from agnt5.testing.schedule import Circumstances, Schedule
from agnt5.testing.search import crash_points
from agnt5.testing.subject import subject_of
from agnt5.testing.world import play

ROUNDS = 200


@function
async def add(a: int, b: int) -> int:
    return a + b


@workflow
async def ten_steps(ctx: WorkflowContext) -> int:
    total = 0
    for n in range(10):
        total = await ctx.step(add, total, n)
    return total


def milliseconds(schedules: list[Schedule]) -> list[float]:
    subject, taken = subject_of(ten_steps, {}), []
    for schedule in schedules:
        begin = time.perf_counter()
        play(subject, schedule)
        taken.append((time.perf_counter() - begin) * 1000)
    return taken


def show(what: str, taken: list[float]) -> None:
    median = statistics.median(taken)
    print(f"{what:<44} {median:6.2f} ms  (median of {len(taken)}, best {min(taken):.2f})")


def main() -> None:
    calm = Schedule()
    milliseconds([calm] * 10)
    show("a run of ten steps", milliseconds([calm] * ROUNDS))
    points = crash_points(play(subject_of(ten_steps, {}), calm))
    crashed = [Schedule(crashes=(point,)) for point in points]
    show("the same with one crash", milliseconds(crashed))
    late = [Schedule(Circumstances(seed=n + 1), (p,)) for n, p in enumerate(points)]
    show("the same, late", milliseconds(late))
    begin = time.perf_counter()
    verdict = crash_everywhere(ten_steps, examples=100, regressions=False)
    print(f"{verdict}: {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main()
