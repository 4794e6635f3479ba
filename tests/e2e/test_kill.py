"""kill -9, again and again: no run is lost, no result is wrong, nothing recorded happens again."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.e2e import driver
from tests.e2e.driver import Site, executions, histories, judge_log, judge_witness

from agnt5 import AsyncClient, Runtime

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") in {"ci", "night"} or "CI" in os.environ
KILLS = int(os.environ.get("AGNT5_KILLS", "200" if THOROUGH else "40"))
SITES = 4
SEED = int(os.environ.get("AGNT5_SEED", "20261121"))


def on_sites(tmp_path, runs, work):
    """The same work on several stores at once, each with a seed of its own."""
    sites = []
    for n in range(SITES):
        (tmp_path / str(n)).mkdir()
        sites.append(Site(tmp_path / str(n), runs))
    with ThreadPoolExecutor(SITES) as pool:
        futures = [
            pool.submit(work, site, random.Random(f"{SEED}-{n}")) for n, site in enumerate(sites)
        ]
        for future in futures:
            future.result()
    return sites


@pytest.mark.timeout(300)
def test_killed_at_any_moment(tmp_path):
    """Many SIGKILLs at random instants: the log and an independent witness agree on the laws."""

    def kill(site, rng):
        site.kill_until(KILLS // SITES, rng)
        site.finish()

    sites = on_sites(tmp_path, 105, kill)
    assert sum(site.kills for site in sites) >= KILLS
    for site in sites:
        assert not site.problems, site.problems[0]
        assert not (found := judge_log(site.store)), found[:5]
        assert not (found := judge_witness(site)), found[:5]
        assert len(histories(site.store)) == (site.rounds + 1) * site.runs
    repeated = sum(count - 1 for site in sites for count in executions(site).values())
    print(f"{KILLS} kills, {sum(site.rounds + 1 for site in sites)} rounds, {repeated} attempts twice")


@pytest.mark.timeout(120)
def test_asked_to_stop_at_any_moment(tmp_path):
    """SIGTERM and SIGINT under load: exit code 0, nothing on stderr, no attempt runs twice."""

    def stop(site, rng):
        for _ in range(6 if THOROUGH else 3):
            for number in (signal.SIGTERM, signal.SIGINT):
                site.terminate(number, rng)
        site.finish()

    sites = on_sites(tmp_path, 105, stop)
    for site in sites:
        assert not site.problems, site.problems[0]
        assert not (found := judge_log(site.store)), found[:5]
        assert not (found := judge_witness(site)), found[:5]
        assert max(executions(site).values()) == 1


def completed(store, seconds=30):
    """Open a store here, and wait until every run that is in it has ended."""

    async def work():
        async with Runtime(f"sqlite:///{store}", park_after=0.02) as runtime:
            client = AsyncClient(runtime=runtime)
            runs = await client.list_runs(limit=100_000)
            for run in runs:
                response = await client.wait_for_result(run.run_id, seconds)
                assert response.is_success, (run.run_id, response.error)

    asyncio.run(work())


@pytest.mark.timeout(120)
def test_a_torn_tail_of_the_log(tmp_path):
    """The -wal file cut at any byte: the store opens, what it holds goes on, versions are whole."""
    rng = random.Random(f"{SEED}-torn")
    site = Site(tmp_path, 28)
    worker = site.start()
    assert driver.said(worker, "ready", 30)
    driver.said(worker, "done", 0.12)
    worker.kill()
    worker.communicate()
    wal = site.store.with_name("store.db-wal")
    whole = wal.stat().st_size
    assert whole > 10_000
    driver.work.open_witness(tmp_path / "other-witness")
    cuts = sorted({0, 1, 31, 32, 33, whole - 1, *rng.sample(range(whole), 30 if THOROUGH else 12)})
    most = 0
    for number, cut in enumerate(cuts):
        copy = tmp_path / f"cut-{number}"
        copy.mkdir()
        shutil.copy(site.store, copy / "store.db")
        (copy / "store.db-wal").write_bytes(wal.read_bytes()[:cut])
        completed(copy / "store.db")
        assert not (found := judge_log(copy / "store.db")), (cut, found[:5])
        with sqlite3.connect(copy / "store.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        kept = len(histories(copy / "store.db"))
        assert kept >= most
        most = kept
    assert most > 0
