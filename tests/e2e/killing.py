"""Kills a worker at random instants, starting it anew each time, until it says that it is done."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from tests.api.helpers import python

CI = os.environ.get("HYPOTHESIS_PROFILE") in {"ci", "night"} or os.environ.get("CI") == "true"


def kill_until_done(
    worker: Path, folder: Path, seed: int, *, latest_s: float, most: int = 6
) -> tuple[int, str]:
    """Kill -9 a worker within this time of its first word, so often at most.

    It is given ``store.db`` and ``witness`` of the folder. How many kills it took, and its last
    words.
    """
    rng, kills = random.Random(seed), 0
    while True:
        process = python(worker, folder / "store.db", folder / "witness")
        assert process.stdout is not None
        line = process.stdout.readline()
        time.sleep(rng.uniform(0.0, latest_s))
        if kills < most:
            process.kill()
            kills += 1
        out, err = process.communicate(timeout=60)
        assert not err, err
        if "DONE" in line + out:
            return kills, line + out
