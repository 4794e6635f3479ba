"""Runs of which a subject was shredded, beside others, exported as columns."""

from __future__ import annotations

import io

import pyarrow.parquet
import pytest
from tests.api.test_privacy import RING, define, visit

from agnt5 import AsyncClient, InvalidInputError, Runtime
from agnt5.columns import read_columns


async def test_columns_are_exported_as_lines_are(file_store):
    define()
    async with Runtime(file_store, encryption=RING):
        client = AsyncClient()
        await visit(client, run_id="a1")
        await visit(client, "bob", run_id="b1", name="Bob")
        await client.shred("anna")
        plain, sealed = io.BytesIO(), io.BytesIO()
        counts = await client.export_runs(plain, form="parquet", payloads="plain")
        assert (counts.runs, counts.shredded) == (1, ("a1",))
        assert [history.run_id for history in read_columns(io.BytesIO(plain.getvalue()))] == ["b1"]
        counts = await client.export_runs(sealed, form="parquet", payloads="sealed")
        assert (counts.runs, counts.shredded) == (2, ())
        rows = pyarrow.parquet.read_table(io.BytesIO(sealed.getvalue())).to_pylist()
        assert {(row["run_id"], row["user_id"], row["component"]) for row in rows} == {
            ("a1", "anna", "visit"),
            ("b1", "bob", "visit"),
        }
        assert "Bob" not in str(rows)
        with pytest.raises(InvalidInputError, match="encrypted"):
            await client.import_runs(io.BytesIO(sealed.getvalue()), form="parquet")
