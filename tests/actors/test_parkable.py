"""Whether a body waits for us and for nothing else."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from tests.actors.test_branch import Host
from tests.actors.tools import turns

from agnt5.actors.branch import StepFuture, chain_task_factory
from agnt5.actors.parkable import waits_only_for


@pytest.fixture
async def host():
    undo = chain_task_factory(asyncio.get_running_loop())
    yield Host()
    undo()


async def parkable(host, body) -> bool:
    """Whether this body may leave memory once it has come to rest."""
    task = host.run(body())
    await turns(12)
    assert not task.done()
    found = waits_only_for(host.guards, StepFuture)
    host.close()
    await turns(12)
    return found


async def group(host):
    async with asyncio.TaskGroup() as tasks:
        for key in "ab":
            tasks.create_task(step(host, key))


async def step(host, key="a"):
    return await StepFuture(host, key)


async def anyio_group(host):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(step, host)


async def mixed(host):
    await asyncio.gather(step(host), asyncio.Event().wait())


async def half_done(host):
    done = StepFuture(host, "b")
    done.set_result(1)
    await asyncio.gather(done, StepFuture(host, "a"))


async def wait_without_limit(host):
    await asyncio.wait([StepFuture(host, "a"), asyncio.ensure_future(step(host, "b"))])


async def wait_with_limit(host):
    await asyncio.wait([StepFuture(host, "a")], timeout=60)


async def under_timeout(host):
    async with asyncio.timeout(60):
        await StepFuture(host, "a")


async def queue(host):
    await asyncio.Queue().get()


async def sleep(host):
    await asyncio.sleep(60)


async def lock(host):
    one = asyncio.Lock()
    await one.acquire()
    await one.acquire()


async def plain_future(host):
    await asyncio.get_running_loop().create_future()


async def step_beside_sleep(host):
    asyncio.ensure_future(asyncio.sleep(60))  # noqa: RUF006 - held by its guard
    await StepFuture(host, "a")


async def deep(host):
    async def inner():
        return await step(host)

    return await inner()


async def gather_of_gathers(host):
    await asyncio.gather(asyncio.gather(step(host, "a")), asyncio.gather(step(host, "b")))


async def shielded(host):
    await asyncio.shield(step(host))


WAITS = [step, deep, group, anyio_group, half_done, wait_without_limit, gather_of_gathers]
WORKS = [mixed, wait_with_limit, queue, sleep, lock, plain_future, step_beside_sleep]


@pytest.mark.parametrize("body", WAITS, ids=lambda body: body.__name__)
async def test_it_waits_for_us(host, body):
    assert await parkable(host, lambda: body(host))


@pytest.mark.parametrize("body", WORKS, ids=lambda body: body.__name__)
async def test_it_waits_for_something_else(host, body):
    """A socket, a timer, a lock: only this process can know how it goes on."""
    assert not await parkable(host, lambda: body(host))


async def test_an_outcome_that_is_on_its_way_is_no_rest(host):
    future = StepFuture(host, "a")

    async def body():
        await future

    task = host.run(body())
    await turns(3)
    assert waits_only_for(host.guards, StepFuture)
    future.set_result(1)
    assert not waits_only_for(host.guards, StepFuture)
    await task


def test_nobody_waits():
    assert waits_only_for([], StepFuture)
