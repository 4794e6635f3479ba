"""Executors: one for each function, also when another one of the same name comes."""

from __future__ import annotations

import asyncio

from tests.actors.test_executor import Work
from tests.actors.tools import HOUSE, turns

from agnt5.actors.clock import ManualClock
from agnt5.actors.executor import Attempt, AttemptDefaults, Cancel
from agnt5.actors.ports import AttemptInfo, FunctionWork
from agnt5.actors.workshop import Workshop


class Place(Workshop):
    """A workshop without runs."""

    def __init__(self) -> None:
        limits = {"threads": 2, "payload_limit": 1000, "attempts": AttemptDefaults()}
        super().__init__(None, HOUSE, ManualClock(), **limits)

    def durable_version(self, run_id):
        return 0

    def ask(self, handler: Work, key: str) -> None:
        work = FunctionWork(handler, (key,), {})
        info = AttemptInfo("r1", key, handler.name, 0)
        self.send_attempt(handler, Attempt(info, work, lambda *_: None))


class Waiting:
    """A function that never ends, and who is in it."""

    def __init__(self) -> None:
        self.inside: list[str] = []

    async def __call__(self, key: str) -> None:
        self.inside.append(key)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.inside.remove(key)


async def test_a_function_of_the_same_name_takes_nothing_from_the_one_before():
    place, function = Place(), Waiting()
    one, two = Work(function, concurrency=1), Work(function, concurrency=1)
    place.ask(one, "a")
    await turns()
    place.ask(two, "b")
    await turns()
    place.ask(one, "c")
    await turns()
    assert function.inside == ["a", "b"], "each has a limit of its own, and keeps it"
    place.send_attempt(one, Cancel("r1", "a"))
    await turns()
    assert function.inside == ["b", "c"]
    place.send_attempt(two, Cancel("r1", "b"))
    await turns()
    assert place.has_attempts
    await place.close_executors()
    assert function.inside == []


async def test_a_function_that_was_replaced_and_has_nothing_to_do_is_forgotten():
    place, function = Place(), Waiting()
    for _ in range(5):
        handler = Work(function)
        place.ask(handler, "a")
        await turns()
        place.send_attempt(handler, Cancel("r1", "a"))
        await turns()
        place.send_attempt(handler, Cancel("r1", "a"))
    assert function.inside == []
    assert len(place.executors) == 1
    assert len(place._replaced) <= 1
    await place.close_executors()
