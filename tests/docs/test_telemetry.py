"""The pages on telemetry: their programs print what they say, and name all that is told."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from opentelemetry import metrics
from tests.docs.pages import ROOT, blocks

from agnt5.events.run import facts as f
from agnt5.telemetry import spans as s
from agnt5.telemetry.meters import Meters

HOW_TO = ROOT / "docs" / "howto" / "telemetry.md"
REFERENCE = ROOT / "docs" / "reference" / "telemetry.md"
PACKAGE = ROOT / "src" / "agnt5" / "telemetry"


def programs() -> dict[str, tuple[str, str]]:
    """Each program of the page, with what it prints."""
    every = blocks(HOW_TO)
    found = {}
    for block, following in pairwise(every):
        named = re.match(r"# file: (\S+)\n", block.source)
        if named:
            assert following.language == "text"
            found[named[1]] = (block.source, following.source)
    return found


@pytest.mark.parametrize("name", ["traced.py", "metered.py", "logged.py"])
def test_a_program_prints_what_the_page_says(name: str, tmp_path: Path) -> None:
    source, wanted = programs()[name]
    (tmp_path / name).write_text(source)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AGNT5_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, name],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(ROOT / "src"), "no_proxy": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    like = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(wanted, done.stdout, like), done.stdout
    assert done.returncode == 0


def test_every_attribute_outcome_and_kind_is_in_the_reference() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    sources = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py"))
    named = set(re.findall(r'"((?:agnt5|error|session|exception)\.[a-z_.]+)"', sources))
    assert len(named) > 30
    missing = {name for name in named if f"`{name}`" not in text}
    assert missing <= {"agnt5.telemetry", "agnt5.exceptions"}
    for kind in s.KINDS[1:]:
        assert re.search(rf"`{kind}[` ]", text), kind
    assert all(
        f"`{fact.topic}`" in text for fact in f.RUN_FACTS if "traceparent" in fact.model_fields
    )


def test_every_metric_is_in_the_reference_with_its_kind_and_unit() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    made: dict[str, tuple[str, str]] = {}

    class Told(metrics.NoOpMeter):
        def create_counter(self, name, unit="", description=""):
            made[name] = ("counter", unit)
            return super().create_counter(name, unit, description)

        def create_histogram(self, name, unit="", description="", **options):
            made[name] = ("histogram", unit)
            return super().create_histogram(name, unit, description, **options)

        def create_observable_gauge(self, name, callbacks=None, unit="", description=""):
            made[name] = ("gauge", unit)
            return super().create_observable_gauge(name, callbacks, unit, description)

    class Provider(metrics.NoOpMeterProvider):
        def get_meter(self, name, *args, **kwargs):
            return Told(name)

    Meters(Provider())
    row = r"^\| `(agnt5\.[a-z_.]+)` \| ((?:counter|histogram|gauge) \| [a-z]+) \|"
    rows = dict(re.findall(row, text, re.MULTILINE))
    assert rows == {name: f"{kind} | {unit.strip('{}')}" for name, (kind, unit) in made.items()}
