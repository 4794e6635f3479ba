"""Lists of runs are those of a filter over all rows, page by page, in every store."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5 import AsyncClient, Runtime, run_lists
from agnt5.events.index import RunRow
from agnt5.events.stores.memory import MemoryLog
from agnt5.exceptions import InvalidInputError
from agnt5.run_lists import RunFilter, first_rows, rows_of
from agnt5.testing.stores.driving import Driver, make_append

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
few = st.sampled_from([None, "a", "b"])


@st.composite
def rows(draw):
    ids = draw(st.lists(st.integers(0, 10_000), max_size=12, unique=True))
    return [
        RunRow(
            f"r{number:05}",
            draw(st.sampled_from("ab")),
            draw(st.sampled_from("ab")),
            draw(st.sampled_from("ab")),
            parked=False,
            wake_at=None,
            created_at=draw(st.integers(0, 9)),
            session_id=draw(few),
            user_id=draw(few),
            parent_run_id=draw(few),
        )
        for number in ids
    ]


times = st.integers(0, 9).map(lambda us: EPOCH + timedelta(microseconds=us))
WORDS = ("status", "component", "parent_run_id", "kind", "session_id", "user_id")
# One condition or two: of more, hardly a run is left.
conditions = st.sampled_from(WORDS).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from("ab"))
) | st.tuples(st.sampled_from(["since", "until"]), times)
filters = st.lists(conditions, max_size=2).map(lambda given: RunFilter(**dict(given)))


def is_meant(row, wanted):
    at = EPOCH + timedelta(microseconds=row.created_at)
    for field in fields(wanted):
        value = getattr(wanted, field.name)
        match field.name, value:
            case _, None:
                continue
            case "since", _ if at >= value:
                continue
            case "until", _ if at < value:
                continue
            case name, _ if name in {"since", "until"} or getattr(row, name) != value:
                return False
    return True


@given(rows(), filters, st.integers(0, 4), st.none() | st.integers(0, 10_000), st.integers(1, 4))
def test_a_list_is_a_filter_over_all_rows(known, wanted, limit, place, page):
    log = MemoryLog()
    driver = Driver(log)
    driver.put(*(make_append(row.run_id, 0, 1, row) for row in known))
    before = None if place is None else f"r{place:05}"
    expected = [
        row
        for row in sorted(known, key=lambda row: row.run_id, reverse=True)
        if is_meant(row, wanted) and (before is None or row.run_id < before)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_lists, "_PAGE", page)
        # One more than there can be: a list that begins again would never end.
        assert list(islice(rows_of(log, wanted, before), len(known) + 1)) == expected
        assert first_rows(log, wanted, limit, before) == expected[:limit]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": ""},
        {"kind": "flow"},
        {"user_id": 1},
        {"since": "today"},
        {"until": datetime(2026, 1, 1)},
    ],
)
async def test_what_cannot_be_meant_is_refused(store, wrong, tmp_path):
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        with pytest.raises(InvalidInputError):
            await client.list_runs(**wrong)
        with pytest.raises(InvalidInputError):
            await client.export_runs(tmp_path / "x.jsonl", **wrong)
