"""Virtual time jumps in order, rounds no alarm away, and stands still while work is left."""

from __future__ import annotations

import asyncio

import anyio
from hypothesis import given
from hypothesis import strategies as st

from agnt5.testing.loop import START_US, VirtualClock, VirtualLoop


def run(main):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main(loop)), loop
    finally:
        loop.close()


@given(st.lists(st.integers(0, 20 * 365 * 86_400 * 10**6), max_size=20))
def test_alarms_ring_at_their_microsecond_and_in_order(dues):
    """Of any time within 20 years."""

    async def main(loop):
        clock, rung = VirtualClock(loop), []
        done = loop.create_future()
        for due in dues:
            at = START_US + due
            clock.call_at(at, lambda at=at: rung.append((at, clock.now())))
        clock.call_at(START_US + max(dues, default=0) + 1, lambda: done.set_result(None))
        await done
        return rung

    rung, _ = run(main)
    assert rung == sorted(rung)
    assert [at - START_US for at, _ in rung] == sorted(dues)
    assert all(at == now for at, now in rung)


def test_a_month_takes_no_time():
    """In real time it would run into the limit of a test."""

    async def main(loop):
        await asyncio.sleep(30 * 86_400)
        with anyio.move_on_after(3600) as scope:
            await asyncio.get_running_loop().create_future()
        return scope.cancelled_caught, loop.time()

    (caught, now), _ = run(main)
    assert caught
    assert now == 30 * 86_400 + 3600


def test_time_stands_still_while_there_is_work():
    async def main(loop):
        seen = []
        loop.call_later(0.001, seen.append, "alarm")
        for _ in range(1000):
            await asyncio.sleep(0)
        assert seen == []
        await asyncio.sleep(1)
        return seen

    assert run(main)[0] == ["alarm"]


def test_blocking_work_is_done_at_once_and_off_the_loop():

    async def main(loop):
        return await asyncio.to_thread(loop.time), await asyncio.to_thread(len, "abc")

    assert run(main)[0] == (0.0, 3)


def test_an_exception_of_blocking_work_is_raised_where_it_is_awaited():
    async def main(_):
        try:
            await asyncio.to_thread(int, "x")
        except ValueError as error:
            return str(error)

    assert "invalid literal" in run(main)[0]


def test_a_socket_of_the_user_is_waited_for():
    """Time must not pass while an answer is on its way."""

    async def main(loop):
        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\n")
            said = await reader.readline()
            writer.close()
        server.close()
        return said

    assert run(main)[0] == b"hello\n"
