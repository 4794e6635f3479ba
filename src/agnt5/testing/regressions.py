"""Schedules that went wrong once, one a line in a file, to be tried first the next time."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from agnt5.exceptions import PayloadError
from agnt5.testing.schedule import KeptSchedule, Schedule

VARIABLE = "AGNT5_REGRESSIONS"
"""A folder for the files; ``off`` keeps none."""
FOLDER = Path(".agnt5/regressions")
_MOST_BYTES = 10_000_000
_MOST_LINES = 200
logger = logging.getLogger("agnt5.testing")


class Regressions:
    """The file of one test, or of one workflow outside of any test."""

    def __init__(self, path: Path | None, workflow: str) -> None:
        self.path = path
        self._workflow = workflow

    def schedules(self, errors: Mapping[tuple[str, str], type[Exception]]) -> Iterator[Schedule]:
        """What was kept, the latest first. A line that fits no longer is passed over, and said."""
        if self.path is None or not self.path.is_file():
            return
        if self.path.stat().st_size > _MOST_BYTES:
            logger.warning("%s is larger than %d bytes: not read", self.path, _MOST_BYTES)
            return
        lines = self.path.read_text(encoding="utf-8").splitlines()
        for number in range(len(lines), 0, -1):
            try:
                kept = KeptSchedule.model_validate_json(lines[number - 1])
                schedule = kept.schedule(errors) if kept.workflow == self._workflow else None
            except (ValidationError, PayloadError) as error:
                logger.warning("%s:%d is no kept schedule: %s", self.path, number, error)
                continue
            if schedule is not None:
                yield schedule

    def keep(self, schedule: Schedule) -> Path | None:
        """Write it down, unless it is there; returns where.

        Raises:
            OSError: When the file cannot be written.
        """
        if self.path is None:
            return None
        try:
            line = KeptSchedule.of(self._workflow, schedule).model_dump_json()
        except PayloadError:
            return None  # an input that cannot be recorded cannot be kept either
        self.path.parent.mkdir(parents=True, exist_ok=True)
        known = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        kept = [each for each in known if each != line][-_MOST_LINES:]
        self.path.write_text("\n".join([*kept, line, ""]), encoding="utf-8")
        return self.path


def regressions_of(workflow: str, given: str | Path | bool | None) -> Regressions:
    """Where the schedules of this test are kept.

    Args:
        workflow: The name of what is tested.
        given: A file; None: one in the folder ``AGNT5_REGRESSIONS``, by default
            ``.agnt5/regressions``, named after the test; False: nowhere.
    """
    folder = os.environ.get(VARIABLE)
    if given is False or (not isinstance(given, str | Path) and folder == "off"):
        return Regressions(None, workflow)
    if isinstance(given, str | Path):
        return Regressions(Path(given), workflow)
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
    name = re.sub(r"[^\w.\[\]-]+", "-", test or workflow).strip("-")[-150:]
    return Regressions((Path(folder) if folder else FOLDER) / f"{name}.jsonl", workflow)
