"""kill -9 a process whose run is paused and forked, at any instant, again and again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.killing import CI, kill_until_done

from agnt5.events.codec import decode_history
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.payloads import decode

WORKER = Path(__file__).with_name("operated_worker.py")
LABELS = [f"step {n}" for n in range(6)]


@pytest.mark.parametrize("seed", range(6 if CI else 2))
def test_a_killed_process_leaves_whole_pauses_and_whole_forks(seed, tmp_path):
    """What was paused stands still when it is back; a fork is there as a whole or not at all."""
    kill_until_done(WORKER, tmp_path, seed, latest_s=0.1)
    judge(tmp_path / "store.db", tmp_path / "witness")


def judge(store: Path, witness: Path) -> None:
    """Both runs ended alike, and each effect shows the key of its run."""
    log = SqliteLog(str(store))
    histories = {run_id: decode_history(log.read(run_id)) for run_id in log.run_ids()}
    log.close()
    assert histories.keys() == {"origin", "fork"}
    for run_id, history in histories.items():
        assert decode(fold(run_id, history).output) == LABELS
    pauses = sum(isinstance(fact, f.RunPaused) for fact, _ in histories["origin"])
    goes_on = sum(isinstance(fact, f.RunResumed) for fact, _ in histories["origin"])
    assert pauses == goes_on >= 1
    forks = [n for n, (fact, _) in enumerate(histories["fork"]) if isinstance(fact, f.RunForked)]
    assert len(forks) == 1
    kept = [fact for fact, _ in histories["fork"][: forks[0]]]
    assert kept == [fact for fact, _ in histories["origin"][: len(kept)]]
    copied = {fact.key for fact in kept if isinstance(fact, f.StepCompleted)}
    seen = {tuple(line.rsplit(" ", 1)) for line in witness.read_text().splitlines()}
    done = [label for label, _ in seen if label.startswith("fork ")]
    assert len(done) == len(set(done)) == len(LABELS) - len(copied)
    assert len({key for _, key in seen}) == len(seen), "an effect had two idempotency keys"
