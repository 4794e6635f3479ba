"""Stopped at random moments, kindly or not: the log and an independent witness must agree."""

from __future__ import annotations

import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.e2e.driver import Site, executions, histories, judge_log, judge_witness

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") in {"ci", "night"} or "CI" in os.environ
KILLS = int(os.environ.get("AGNT5_KILLS", "80" if THOROUGH else "16"))
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


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["serve", "careless"])
def test_asked_to_stop_at_any_moment(tmp_path, mode):
    """SIGTERM and SIGINT under load: exit code 0, nothing on stderr, nothing lost.

    A program that awaits ``serve`` gives every attempt its grace, so that none runs twice. One
    whose main task ends before that has its loop, and all tasks on it, ended by ``asyncio.run``:
    that is no fact of any run.
    """

    def stop(site, rng):
        for _ in range(6 if THOROUGH else 3):
            for number in (signal.SIGTERM, signal.SIGINT):
                site.terminate(number, rng, mode)
        site.finish()

    sites = on_sites(tmp_path, 105, stop)
    for site in sites:
        assert not site.problems, site.problems[0]
        assert not (found := judge_log(site.store)), found[:5]
        assert not (found := judge_witness(site)), found[:5]
        if mode == "serve":
            assert max(executions(site).values()) == 1
