"""Appends of one turn share a commit; what nobody waits for waits a little; all are settled."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.actors.tools import HOUSE, Desk, append, turns

from agnt5.actors.journal import Journal


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
async def journal(desk, later):
    return Journal(desk, HOUSE)


async def test_the_first_of_a_quiet_moment_goes_at_once(journal, desk):
    journal.append(append("a"))
    assert desk.groups == [["a"]]


async def test_what_comes_in_one_turn_shares_a_group(journal, desk):
    for name in "abcd":
        journal.append(append(name))
    assert desk.groups == [["a"]]
    await turns(1)
    assert desk.groups == [["a"], ["b", "c", "d"]]
    journal.append(append("e"))
    await turns(1)
    assert desk.groups[2:] == [["e"]]


async def test_what_nobody_waits_for_lingers(journal, desk, later):
    journal.append(append("a", urgent=False))
    journal.append(append("b", urgent=False))
    await turns()
    assert desk.groups == []
    assert len(later.calls) == 1
    assert 0 < later.delays[0] < 0.05
    later.fire()
    assert desk.groups == [["a", "b"]]


async def test_what_is_urgent_takes_along_what_lingers_in_order(journal, desk, later):
    journal.append(append("a", urgent=False))
    journal.append(append("b"))
    assert desk.groups == [["a", "b"]]
    later.fire()
    await turns()
    assert desk.groups == [["a", "b"]]


async def test_while_a_commit_is_under_way_the_urgent_wait_for_the_end_of_the_turn(
    journal, desk, later
):
    journal.append(append("a"))
    journal.append(append("b", urgent=False))
    journal.append(append("c"))
    await turns(1)
    assert desk.groups == [["a"], ["b", "c"]]


async def test_settled_appends_are_told_on_the_loop_in_order(journal, desk):
    told = []
    for name in "abc":
        journal.append(append(name, lambda x: told.append((x.stream, threading.get_ident()))))
    await turns(1)
    writer = threading.Thread(target=desk.settle)
    writer.start()
    writer.join()
    assert told == []
    await turns()
    assert told == [(name, threading.get_ident()) for name in "abc"]


async def test_a_log_that_settles_on_the_loop_is_told_in_a_later_turn(journal, desk):
    """An actor must not be called while it appends."""
    told = []
    journal.append(append("a", told.append))
    desk.settle()
    assert told == []
    await turns(1)
    assert len(told) == 1


async def test_after_a_quiet_moment_the_first_goes_at_once_again(journal, desk):
    journal.append(append("a"))
    desk.settle()
    await turns(1)
    journal.append(append("b"))
    assert desk.groups == [["a"], ["b"]]


async def test_drain_writes_what_lingers_and_waits_until_it_is_settled(journal, desk):
    told = []
    journal.append(append("a", told.append, urgent=False))
    draining = asyncio.ensure_future(journal.drain(60))
    await turns()
    assert desk.groups == [["a"]]
    assert not draining.done()
    desk.settle()
    await draining
    assert len(told) == 1


async def test_drain_waits_for_what_settling_leads_to(journal, desk):
    journal.append(append("a", lambda _: journal.append(append("b"))))
    draining = asyncio.ensure_future(journal.drain(60))
    await turns()
    desk.settle()
    await turns()
    assert desk.groups == [["a"], ["b"]]
    assert not draining.done()
    desk.settle()
    await draining


async def test_drain_of_nothing_is_over(journal):
    await journal.drain(60)


async def test_the_patience_of_drain_ends(journal, desk):
    journal.append(append("a"))
    await journal.drain(0)
    assert len(desk.taken) == 1


def test_a_closed_loop_is_told_nothing():
    """What is durable stays durable."""
    desk, told = Desk(), []

    async def main():
        Journal(desk, HOUSE).append(append("a", told.append))

    asyncio.run(main())
    writer = threading.Thread(target=desk.settle)
    writer.start()
    writer.join()
    assert told == []
