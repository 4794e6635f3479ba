"""kill -9 a process whose run goes on as a new one with every turn, at any instant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.chain_worker import FIRST, TURNS
from tests.e2e.killing import CI, kill_until_done

from agnt5.events.codec import decode_history
from agnt5.events.keys import successor_run_id
from agnt5.events.run import facts as f
from agnt5.events.stores.sqlite import SqliteLog

WORKER = Path(__file__).with_name("chain_worker.py")


@pytest.mark.parametrize("seed", range(4 if CI else 2))
def test_a_chain_has_no_gap_and_no_fork(tmp_path, seed):
    kills, said = kill_until_done(WORKER, tmp_path, seed, latest_s=0.06, most=8)
    assert "DONE True" in said
    assert kills >= 1
    judge(tmp_path / "store.db", tmp_path / "witness")


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
