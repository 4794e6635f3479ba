"""Streams are read in groups on one thread, and answered on the loop."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.actors.tools import HOUSE

from agnt5.actors.reader import Reader
from agnt5.events.codec import encode_fact
from agnt5.events.log import StoredFact
from agnt5.events.run import facts as f
from agnt5.exceptions import StoreBusyError, StoreCorruptError, StoreError

PARKED = f.RunParked(wake_at=5)


class Shelf:
    """A log to read from. ``gate`` keeps readers waiting."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def read_many(self, streams):
        self.groups.append(list(streams))
        self.threads.add(threading.get_ident())
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        raw = encode_fact(PARKED, 7, "e")
        rows = {
            name: [StoredFact(name, 1, 1, raw.topic, raw.state, raw.at, raw.event_id)]
            for name in streams
            if name != "none"
        }
        if "bad" in rows:
            rows["bad"] = [StoredFact("bad", 1, 1, "RunParked", b"{", 0, "e")]
        return rows


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
async def reader(shelf):
    reader = Reader(shelf, HOUSE)
    yield reader
    shelf.gate.set()
    reader.close()


def ask(reader, stream) -> asyncio.Future:
    """What the reader answers."""
    answer = asyncio.get_running_loop().create_future()
    thread = threading.get_ident()

    def on_read(name, history):
        assert threading.get_ident() == thread
        answer.set_result((name, history))

    reader.read(stream, on_read)
    return answer


async def test_a_history_has_its_times(reader):
    assert await ask(reader, "r1") == ("r1", [(PARKED, 7)])


async def test_an_unknown_stream_is_empty(reader):
    assert await ask(reader, "none") == ("none", [])


async def test_what_was_asked_meanwhile_is_read_in_one_go_and_in_order(reader, shelf):
    shelf.gate.clear()
    first = ask(reader, "first")
    while not shelf.groups:
        await asyncio.sleep(0)
    names = [f"r{n}" for n in range(100)]
    answers = [ask(reader, name) for name in names]
    shelf.gate.set()
    assert (await first)[0] == "first"
    assert [(await answer)[0] for answer in answers] == names
    assert [len(group) for group in shelf.groups] == [1, 64, 36]
    assert [name for group in shelf.groups for name in group] == ["first", *names]
    assert len(shelf.threads) == 1
    assert threading.get_ident() not in shelf.threads


async def test_a_stream_that_is_damaged_does_not_harm_its_neighbours(reader, shelf):
    shelf.gate.clear()
    ask(reader, "first")
    bad, good = ask(reader, "bad"), ask(reader, "good")
    shelf.gate.set()
    assert isinstance((await bad)[1], StoreCorruptError)
    assert (await good)[1] == [(PARKED, 7)]


async def test_trouble_of_the_store_is_answered(reader, shelf):
    shelf.error = StoreBusyError("locked")
    assert (await ask(reader, "r1"))[1] is shelf.error
    shelf.error = None
    assert (await ask(reader, "r1"))[1] == [(PARKED, 7)]


async def test_any_other_trouble_is_answered_too(reader, shelf):
    """The thread must not die: every run of this process is read by it."""
    shelf.error = ValueError("a defect")
    answer = (await asyncio.wait_for(ask(reader, "r1"), 5))[1]
    assert isinstance(answer, StoreError)
    assert answer.__cause__ is shelf.error
    shelf.error = None
    assert (await ask(reader, "r1"))[1] == [(PARKED, 7)]


async def test_close_serves_what_was_asked(reader, shelf):
    answers = [ask(reader, name) for name in "abc"]
    await asyncio.get_running_loop().run_in_executor(None, reader.close)
    assert [(await answer)[0] for answer in answers] == list("abc")
    reader.close()


async def test_a_reader_that_was_never_asked_has_no_thread(shelf):
    reader = Reader(shelf, HOUSE)
    before = threading.active_count()
    reader.close()
    assert threading.active_count() == before


def test_a_closed_loop_is_told_nothing(shelf):
    shelf.gate.clear()

    async def main():
        reader = Reader(shelf, HOUSE)
        reader.read("r1", lambda *_: None)
        return reader

    reader = asyncio.run(main())
    shelf.gate.set()
    reader.close()
    assert shelf.groups == [["r1"]]


async def test_one_who_fails_to_take_an_answer_does_not_keep_the_others_from_theirs(shelf, reader):
    said: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said_now: said.append(said_now))
    shelf.gate.clear()
    reader.read("first", lambda *_: None)
    reader.read("bad luck", lambda *_: 1 / 0)
    waiting = ask(reader, "r2")
    shelf.gate.set()
    assert (await asyncio.wait_for(waiting, 10))[0] == "r2"
    assert [type(each["exception"]) for each in said] == [ZeroDivisionError]
    assert "'bad luck'" in said[0]["message"]


async def test_nothing_is_read_after_the_close(shelf, reader):
    await ask(reader, "r1")
    reader.close()
    reader.read("r2", lambda *_: None)
    assert shelf.groups == [["r1"]]
    assert not [each for each in threading.enumerate() if each.name == "agnt5-reader"]
