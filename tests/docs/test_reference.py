"""The reference is complete: what the code has, the pages name."""

from __future__ import annotations

import inspect
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.docs.pages import ROOT

import agnt5
from agnt5 import AsyncClient, Client, Runtime, WorkflowContext, exceptions
from agnt5.events.codec import ALL_FACTS
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.events.vocabulary import public_events

REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def every_page() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(REFERENCE.glob("*.md")))


def row_of(text: str, first: str) -> str:
    """The row of a table whose first cell is this."""
    found = re.search(rf"^\| `{re.escape(first)}` \|.*$", text, re.MULTILINE)
    assert found, f"there is no row for {first}"
    return found[0]


def parameters(function: object) -> list[str]:
    assert callable(function)
    return [name for name in inspect.signature(function).parameters if name != "self"]


def test_every_public_name_is_there() -> None:
    text = every_page()
    assert not [name for name in agnt5.__all__ if f"`{name}" not in text]


def test_the_parameters_of_what_users_call_are_there() -> None:
    text = every_page()
    for owner, word in ((Client, "client"), (AsyncClient, "client"), (WorkflowContext, "ctx")):
        for name, member in inspect.getmembers(owner, inspect.isfunction):
            if name.startswith("_") or member.__qualname__.startswith("Context."):
                continue
            signature = re.search(rf"`{word}\.{name}\((.*?)\)`", text, re.DOTALL)
            assert signature, f"{owner.__name__}.{name} is not in docs/reference"
            missing = [p for p in parameters(member) if p not in signature[1]]
            assert not missing, f"{owner.__name__}.{name}: {missing}"


def test_the_settings_of_a_runtime_are_there() -> None:
    for name in parameters(Runtime.__init__):
        row_of(page("settings.md"), name)


def test_every_fact_is_there_with_its_fields() -> None:
    text = page("events.md")
    for fact in ALL_FACTS:
        row = row_of(text, fact.topic)
        assert f"| {fact.schema_version} |" in row
        assert not [field for field in fact.model_fields if f"`{field}`" not in row], fact.topic


def test_every_public_event_type_is_there() -> None:
    text = page("events.md")
    source = Path(inspect.getsourcefile(public_events) or "").read_text(encoding="utf-8")
    types = set(re.findall(r'PublicEvent\(\s*"([a-z_.]+)"', source))
    stages = {"started", "completed", "failed"}
    types |= {f"{prefix}.{stage}" for prefix in ("workflow.step", "function") for stage in stages}
    assert len(types) > 20
    assert not [each for each in sorted(types) if f"`{each}`" not in text]


def test_every_error_is_there_with_its_code() -> None:
    text = page("errors.md")
    for name, cls in vars(exceptions).items():
        if isinstance(cls, type) and cls.__module__ == exceptions.__name__:
            row = row_of(text, name)
            code = getattr(cls, "code", None)
            # An ActivationError is given its code when it is made.
            given = issubclass(cls, exceptions.ActivationError)
            assert code is None or given or f"`{code}`" in row, name


def test_every_view_is_there_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteLog(path).close()
    text = page("sql-views.md")
    with closing(sqlite3.connect(path)) as connection:
        views = connection.execute(
            "SELECT name FROM sqlite_master WHERE type='view' AND name LIKE 'agnt5%'"
        ).fetchall()
        assert len(views) == 9
        for (view,) in views:
            section = text.partition(f"\n## {view}\n")[2].partition("\n## ")[0]
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({view})")]
            plain = [name for name in columns if not name.endswith("_us") or name == "duration_us"]
            assert plain
            assert not [name for name in plain if f"`{name}`" not in section], view
