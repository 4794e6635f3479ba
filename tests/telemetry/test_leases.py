"""What becomes of the lease of a store is counted, also when a process was killed under it."""

from __future__ import annotations

import signal

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.api.helpers import end_processes, python
from tests.telemetry.tools import metric

from agnt5 import AsyncClient, HashChain, Keyring, Runtime, function
from agnt5.events.leases import STORE_SCOPE
from agnt5.exceptions import StoreError
from agnt5.operating import Onlooker
from agnt5.telemetry import meters

OPENS = """
import asyncio, sys
from agnt5 import Runtime
async def main():
    async with Runtime(sys.argv[1]):
        print("open", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    end_processes()


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path}/s.db"


def events(reader) -> dict[str, int]:
    return {name: number for (name,), number in metric(reader, "agnt5.lease.events").items()}


async def test_a_store_is_claimed_and_released(reader, store, tmp_path):
    async with Runtime(store):
        assert events(reader) == {"claimed": 1}
        assert metric(reader, "agnt5.lease.epoch") == {(f"{tmp_path}/s.db",): 1}
        async with Onlooker(store):
            assert events(reader) == {"claimed": 1}
            assert metric(reader, "agnt5.lease.epoch") == {(f"{tmp_path}/s.db",): 1}
    assert events(reader) == {"claimed": 1, "released": 1}
    assert metric(reader, "agnt5.lease.epoch") == {}
    async with Runtime(store):
        assert events(reader) == {"claimed": 2, "released": 1}
        assert metric(reader, "agnt5.lease.epoch") == {(f"{tmp_path}/s.db",): 2}


async def test_a_store_of_a_process_that_was_killed_is_taken_over(reader, store):
    for _ in range(2):
        process = python(OPENS, store)
        assert process.stdout.readline() == "open\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    async with Runtime(store):
        assert events(reader) == {"taken_over": 1}
        assert [*metric(reader, "agnt5.lease.epoch").values()] == [3]
    assert events(reader) == {"taken_over": 1, "released": 1}


@pytest.mark.parametrize("more", [{}, {"encryption": Keyring({"k": bytes(32)})}])
async def test_a_store_that_another_has_claimed_is_lost_once(reader, store, more):
    @function
    async def add() -> int:
        return 1

    async with Runtime(store, chain=HashChain(), **more) as runtime:
        assert (await AsyncClient().run("add", {})).output == 1
        runtime._log.claim(STORE_SCOPE, "another:1")
        assert events(reader) == {"claimed": 1}
        for _ in range(2):
            with pytest.raises(StoreError, match="another owner"):
                await AsyncClient().run("add", {})
        assert events(reader) == {"claimed": 1, "lost": 1}
        assert metric(reader, "agnt5.lease.epoch") == {}
    assert events(reader) == {"claimed": 1, "lost": 1}


async def test_an_sdk_that_comes_later_hears_of_it(store, monkeypatch):
    found = InMemoryMetricReader()
    provider = MeterProvider([found])

    @function
    async def add() -> int:
        return 1

    async with Runtime(store):
        monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
        await AsyncClient().run("add", {})
        assert events(found) == {"claimed": 1}
    assert events(found) == {"claimed": 1, "released": 1}
    provider.shutdown()


async def test_a_store_in_memory_has_no_lease(reader):
    async with Runtime("memory://"):
        pass
    assert events(reader) == {}
    assert metric(reader, "agnt5.lease.epoch") == {}


async def test_an_instrument_that_fails_keeps_no_store_shut(reader, store, monkeypatch, caplog):
    def broken(*_):
        raise ValueError("no idea")

    monkeypatch.setattr(meters.Meters, "lease", broken)
    async with Runtime(store):
        pass
    assert caplog.text.count("ValueError: no idea") == 2
