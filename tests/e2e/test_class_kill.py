"""kill -9 into a class workflow: its attributes, batches and agent go on where they were."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.api.helpers import end_processes, python
from tests.e2e import class_worker
from tests.e2e.evidence import read_rows

KILLS = 7


@pytest.fixture(autouse=True)
def processes():
    yield
    end_processes()


def labels(folder: Path) -> Counter[str]:
    witness = folder / "witness"
    return Counter(witness.read_text().splitlines() if witness.exists() else [])


def settled(folder: Path) -> set[str]:
    """What the witness calls the steps whose result is on record."""
    names: set[str] = set()
    if not (folder / "store.db").exists():
        return names
    for row in read_rows(folder / "store.db"):
        if row.topic == "StepCompleted" and row.step is not None:
            name, _, number = row.step.rpartition(":")[2].rpartition("#")
            match name:
                case "mark":
                    names.add(f"mark {class_worker.EXPECTED['order'][int(number)]}")
                case "analyze":
                    names.add(f"analyze {class_worker.BATCHES[int(number)][0]}")
                case "model":
                    names.add(f"model {number}")
                case "look_up":
                    names.add(f"tool {'sizes' if number == '0' else 'sum'}")
    return names


def test_recorded_steps_never_run_again_and_attributes_add_up(tmp_path: Path) -> None:
    rng = random.Random(11)
    arguments = (tmp_path / "store.db", tmp_path / "witness")
    for _ in range(KILLS):
        before, known = labels(tmp_path), settled(tmp_path)
        worker = python(Path(class_worker.__file__), *arguments, cwd=tmp_path)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "READY\n", worker.communicate()
        time.sleep(rng.uniform(0.0, 0.12))  # the instant of the kill
        worker.kill()
        _, error = worker.communicate()
        assert "Traceback" not in error, error
        assert not [label for label in known if labels(tmp_path)[label] != before[label]]
    before, known = labels(tmp_path), settled(tmp_path)
    worker = python(Path(class_worker.__file__), *arguments, cwd=tmp_path)
    said, error = worker.communicate(timeout=50)
    assert said == "READY\nDONE\n", error
    assert not [label for label in known if labels(tmp_path)[label] != before[label]]
    assert max(labels(tmp_path).values()) > 1, "no kill has hit a step"
    assert len(settled(tmp_path)) == len(labels(tmp_path)) == 2 + 9 + 3 + 2
