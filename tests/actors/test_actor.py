"""One actor's life: batches, holding, stopping, crashing."""

from __future__ import annotations

from contextvars import ContextVar, copy_context

import pytest
from tests.actors.tools import HOUSE, Letters, turns

from agnt5.actors.actor import Actor
from agnt5.exceptions import OverloadedError

WHERE: ContextVar[str] = ContextVar("where", default="house")


class Clerk(Actor):
    def __init__(self, context=HOUSE, capacity=10) -> None:
        super().__init__("clerk", context, capacity)
        self.batches, self.crashes, self.where = [], [], []

    def receive(self, batch):
        self.where.append(WHERE.get())
        commands = [envelope.command for envelope in batch]
        self.batches.append(commands)
        if "crash" in commands:
            raise ValueError("no")
        for envelope in batch:
            if envelope.command == "again":
                self.tell("once more")
            if envelope.reply is not None:
                envelope.reply(None)

    def crashed(self, error):
        self.crashes.append(error)


async def test_what_lies_in_the_box_is_one_batch():
    clerk = Clerk()
    clerk.tell(1)
    clerk.tell(2)
    assert clerk.batches == []
    assert not clerk.is_idle
    await turns(1)
    assert clerk.batches == [[1, 2]]
    assert clerk.is_idle
    clerk.tell(3)
    await turns(1)
    assert clerk.batches == [[1, 2], [3]]


async def test_a_letter_to_itself_is_another_batch():
    clerk = Clerk()
    clerk.tell("again")
    await turns(3)
    assert clerk.batches == [["again"], ["once more"]]


async def test_an_idle_actor_is_not_called():
    clerk = Clerk()
    await turns()
    assert clerk.batches == []


async def test_it_reads_in_the_context_of_the_house():
    """Whoever writes must not leak its own context (a request, a span, a branch) into it."""
    token = WHERE.set("request")
    clerk = Clerk(HOUSE)
    clerk.tell(1)
    await turns(1)
    WHERE.reset(token)
    other = copy_context()
    other.run(WHERE.set, "elsewhere")
    other.run(clerk.tell, 2)
    await turns(1)
    assert clerk.where == ["house", "house"]


async def test_it_can_be_held():
    clerk = Clerk()
    clerk.tell(1)
    clerk.hold()
    clerk.tell(2)
    await turns()
    assert clerk.batches == []
    clerk.release()
    clerk.release()
    clerk.tell(3)
    await turns()
    assert clerk.batches == [[1, 2, 3]]


async def test_releasing_an_empty_box_does_nothing():
    clerk = Clerk()
    clerk.hold()
    clerk.release()
    await turns()
    assert clerk.batches == []


async def test_a_stopped_actor_answers_every_letter():
    clerk, told, reason = Clerk(), Letters(), RuntimeError("over")
    clerk.tell(1, told.reply())
    clerk.tell(2)
    clerk.tell(3, told.reply())
    clerk.stop(reason)
    assert told == [reason, reason]
    clerk.tell(4, told.reply())
    clerk.tell(5)
    clerk.stop(RuntimeError("again"))
    await turns()
    assert told == [reason] * 3
    assert clerk.batches == []
    assert clerk.stopped is reason


async def test_a_crash_is_told_to_who_wrote_and_to_the_supervisor():
    clerk, told = Clerk(), Letters()
    clerk.tell("crash", told.reply())
    clerk.tell("other", told.reply())
    await turns()
    assert told == clerk.crashes * 2
    assert str(clerk.crashes[0]) == "no"


async def test_the_edge_is_refused_and_the_inside_is_not():
    clerk = Clerk(capacity=1)
    clerk.tell(1, edge=True)
    with pytest.raises(OverloadedError, match="clerk"):
        clerk.tell(2, edge=True)
    clerk.tell(3)
    await turns()
    assert clerk.batches == [[1, 3]]
