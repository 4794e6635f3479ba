"""What was written once is read for ever: recorded facts of every kind and version."""

from __future__ import annotations

import orjson
import pytest
from tests.events.golden_facts import FOLDER, GOLDEN

from agnt5.events.codec import ALL_FACTS, decode_any
from agnt5.events.log import StoredFact

HOW = "see tests/events/golden_facts.py"


@pytest.mark.parametrize("name", GOLDEN)
def test_a_recorded_fact_means_what_it_meant(name):
    path = FOLDER / f"{name}.json"
    assert path.exists(), f"no golden file: {HOW}"
    golden = orjson.loads(path.read_bytes())
    facts = GOLDEN[name]
    assert len(golden["states"]) == len(facts)
    for state, expected in zip(golden["states"], facts, strict=True):
        row = StoredFact("r", 1, 1, golden["topic"], orjson.dumps(state), 0, "e")
        assert decode_any(row) == expected


@pytest.mark.parametrize("cls", ALL_FACTS, ids=lambda cls: cls.__name__)
def test_every_kind_and_version_has_a_golden_file(cls):
    for version in range(1, cls.schema_version + 1):
        assert f"{cls.__name__}.v{version}" in GOLDEN, HOW


def test_no_golden_file_is_forgotten():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(GOLDEN), HOW


@pytest.mark.parametrize("name", GOLDEN)
def test_the_full_one_is_full_and_the_least_is_least(name):
    """So that a field that is added later must be added here."""
    if name.count(".") > 1 or f"{name}+" in GOLDEN:
        pytest.skip("a part within a fact, or the shape before fields were added")
    full, least = GOLDEN[name]
    fields = type(full).model_fields
    assert full.model_dump(exclude_defaults=True).keys() == fields.keys()
    required = {field for field, about in fields.items() if about.is_required()}
    assert least.model_dump(exclude_defaults=True).keys() == required
    assert least.model_fields_set == fields.keys(), "spell the defaults out"
