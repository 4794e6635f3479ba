"""However a history comes in appends, and whoever has read what of it: a violation is told once."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.test_contracts import CONTRACTS, TRACES, contract, history

from agnt5.contract_watch import ContractWatch
from agnt5.contracts import Violation
from agnt5.events.codec import encode_fact
from agnt5.events.log import Append, Chain
from agnt5.events.run import facts as f
from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import StoreError

RUN = "r"


def appends(facts, sizes, parks) -> list[Append]:
    """The history cut into appends of these sizes, at whose ends the run may be parked."""
    found: list[Append] = []
    left, after = list(facts), 0
    for size, is_parked in zip([*sizes, len(left)], [*parks, False] * 20, strict=False):
        part, left = left[:size], left[size:]
        if not part:
            continue
        if is_parked and left:
            part.append((f.RunParked(), part[-1][1]))
        raw = [encode_fact(fact, at, f"{after}.{n}") for n, (fact, at) in enumerate(part)]
        found.append(Append(RUN, after, raw, (), Chain(), lambda _: None))
        after += len(part)
    return found


def whole(found: list[Append]) -> list:
    log = written(found)
    return log.read(RUN)


def written(found: list[Append]) -> MemoryLog:
    log = MemoryLog()
    log.start(lambda settled: None)
    log.append(found)
    assert not any(each.error for each in found)
    return log


async def watched(found: list[Append], c, restarts: set[int], lost: set[int]) -> list[Violation]:
    """What is told, when the process begins anew before some appends, and never hears of others."""
    log, told = written(found), []
    watch = ContractWatch([c], told.append)
    watch.open(log)
    for n, append in enumerate(found):
        if n in restarts:
            watch = ContractWatch([c], told.append)
            watch.open(log)
        if n in lost:
            continue
        watch.hear([append])
        run = watch._runs.get(RUN)
        while run is not None and run.waiting is not None:
            await asyncio.sleep(0)
    assert watch._runs == {} or not found or len(found) - 1 in lost
    return told


@given(
    CONTRACTS,
    TRACES,
    st.lists(st.integers(1, 3), min_size=1, max_size=6),
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.sets(st.integers(0, 6)),
    st.sets(st.integers(0, 4), max_size=2),
)
def test_what_is_told_is_what_a_check_of_the_whole_finds(c, trace, sizes, parks, restarts, lost):
    found = appends(history(trace), sizes, parks)
    lost = {n for n in lost if n < len(found) - 1}
    told = asyncio.run(watched(found, contract(c), restarts, lost))
    expected = contract(c).check(whole(found)).violation
    if expected is None:
        assert told == []
        return
    ends = [append.after + len(append.facts) for append in found]
    heard = next(n for n, end in enumerate(ends) if expected.event.version <= end) not in lost
    assert [(each.event.version, each.at_end) for each in told] == (
        [(expected.event.version, expected.at_end)] if heard else []
    )


def test_an_append_that_has_failed_is_nothing_that_happened():
    (append,) = appends(history([("a", 0)]), [9], [False])
    append.error = StoreError("no")
    told: list[Violation] = []

    async def hear() -> None:
        watch = ContractWatch([contract(("never", ("is", "a")))], told.append)
        watch.open(MemoryLog())
        watch.hear([append])

    asyncio.run(hear())
    assert told == []


async def test_what_waits_for_its_beginning_may_have_parked_the_run_meanwhile(caplog):
    facts = [
        (f.RunQueued(component="order", kind="workflow", input=None), 1),
        (f.TimerScheduled(key=":sleep#0", due_at=9), 2),
        (f.TimerFired(key=":sleep#0"), 3),
        (f.RunCompleted(), 4),
    ]
    found = appends(facts, [1, 1, 1], [False, True])
    watch = ContractWatch([contract(("never", ("is", "a")))])
    watch.open(written(found))
    watch.hear(found[1:])
    while watch._runs:
        await asyncio.sleep(0.001)
    assert caplog.messages == []
