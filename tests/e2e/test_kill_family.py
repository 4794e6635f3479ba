"""kill -9 a process with a parent and three children, at any instant, again and again."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.killing import CI, kill_until_done

from agnt5.events.codec import decode_history
from agnt5.events.run import facts as f
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.payloads import decode

WORKER = Path(__file__).with_name("family_worker.py")
ROUNDS = 12 if CI else 3
LABELS = [*(f"good {n}" for n in (1, 2, 3)), "bad 1", "endless 1"]
CLEANUP = ["endless cleanup 1", "endless cleanup 2"]


def one_round(folder: Path, seed: int) -> int:
    """Kill until it is done; judge the log and the witness; how many kills it took."""
    folder.mkdir()
    kills, _ = kill_until_done(WORKER, folder, seed, latest_s=0.15)
    judge(folder / "store.db", folder / "witness")
    return kills


def judge(store: Path, witness: Path) -> None:
    """One history each, each step recorded once, and each effect as its record says."""
    log = SqliteLog(str(store))
    histories = {
        run_id: [x for x, _ in decode_history(log.read(run_id))] for run_id in log.run_ids()
    }
    log.close()
    assert histories.keys() == {"parent", "good", "bad", "endless"}
    ends = {run_id: type(facts[-1]) for run_id, facts in histories.items()}
    assert ends == {
        "parent": f.RunCompleted,
        "good": f.RunCompleted,
        "bad": f.RunFailed,
        "endless": f.RunCancelled,
    }
    for facts in histories.values():
        assert sum(isinstance(fact, f.Terminal) for fact in facts) == 1
    finished = Counter(x.key for x in histories["parent"] if isinstance(x, f.ChildFinished))
    assert set(finished.values()) == {1}
    assert len(finished) >= 2
    recorded = Counter(
        str(decode(fact.output))
        for facts in histories.values()
        for fact in facts
        if isinstance(fact, f.StepCompleted)
    )
    assert recorded == Counter([*LABELS, *CLEANUP])
    keys: dict[str, set[str]] = {}
    for line in witness.read_text().splitlines():
        label, _, key = line.rpartition(" ")
        keys.setdefault(label, set()).add(key)
    assert keys.keys() == set(recorded)
    assert all(len(each) == 1 for each in keys.values()), "an effect had two idempotency keys"


def test_kill_9_at_any_instant_of_a_family(tmp_path):
    """The children are started once, end once, and the parent hears of each once."""
    with ThreadPoolExecutor(2) as pool:
        kills = list(pool.map(lambda n: one_round(tmp_path / f"{n}", 500 + n), range(ROUNDS)))
    assert sum(kills) >= 2 * ROUNDS
