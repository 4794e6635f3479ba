"""kill -9 a process whose run goes on as a new one with every turn, at any instant."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.api.helpers import python
from tests.e2e.chain_worker import FIRST, TURNS

from agnt5.events.codec import decode_history
from agnt5.events.keys import successor_run_id
from agnt5.events.run import facts as f
from agnt5.events.stores.sqlite import SqliteLog

WORKER = Path(__file__).with_name("chain_worker.py")
CI = os.environ.get("HYPOTHESIS_PROFILE") in {"ci", "night"} or os.environ.get("CI") == "true"


@pytest.mark.parametrize("seed", range(4 if CI else 2))
def test_a_chain_has_no_gap_and_no_fork(tmp_path, seed):
    rng, kills = random.Random(seed), 0
    store, witness = tmp_path / "store.db", tmp_path / "witness"
    while True:
        worker = python(WORKER, store, witness)
        assert worker.stdout is not None
        line = worker.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.06))
        if kills < 8:
            worker.kill()
            kills += 1
        out, err = worker.communicate(timeout=60)
        assert not err, err
        if "DONE" in line + out:
            assert "DONE True" in line + out
            break
    assert kills >= 1
    judge(store, witness)


def judge(store: Path, witness: Path) -> None:
    """Every run of the chain once, each with one end and linked to the next."""
    log = SqliteLog(store)
    histories = {
        run_id: [fact for fact, _ in decode_history(log.read(run_id))] for run_id in log.run_ids()
    }
    last = log.last_of_chain(FIRST)
    log.close()
    chain = [FIRST, *(successor_run_id(FIRST, link) for link in range(1, TURNS))]
    assert sorted(histories) == sorted(chain)
    assert last is not None
    assert last.run_id == chain[-1]
    for number, run_id in enumerate(chain):
        facts = histories[run_id]
        assert [type(fact) for fact in facts].count(f.RunQueued) == 1
        assert sum(isinstance(fact, f.Terminal) for fact in facts) == 1
        assert facts[0].link == number
        if run_id == chain[-1]:
            assert facts[-1] == f.RunCompleted(output=list(range(TURNS)))
        else:
            assert facts[-1].successor == chain[number + 1]
            assert facts[-1].input == {"turn": number + 1}
    effects = Counter(line.split()[0] for line in witness.read_text().splitlines())
    assert set(effects) == {str(turn) for turn in range(TURNS)}
