"""The tables of names: each is spelt as its module spells it, and breaks a rule that there is."""

from __future__ import annotations

import importlib
import sys

import pytest

from agnt5.checking import RULES, check_sources
from agnt5.checking.known import ATTRIBUTES, CALLS, METHODS, WAITS_WITH_TIMEOUT, known_call

NOT_EVERYWHERE = {"uuid.uuid6", "uuid.uuid7", "uuid.uuid8", "os.getrandom"}
"""Since Python 3.14, and on Linux."""
OURS = ("anyio", "builtins", *sys.stdlib_module_names)
NAMES = [
    *(name for name in (*CALLS, *ATTRIBUTES, *WAITS_WITH_TIMEOUT) if name not in NOT_EVERYWHERE),
    *(
        f"{maker}.{name}"
        for maker, names in METHODS.items()
        for name in names
        if "_loop" not in maker
    ),
]


def found(dotted):
    """What a full name stands for; the longest beginning that is a module is imported."""
    parts = dotted.removesuffix(".*").split(".")
    for at in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:at]))
        except ImportError:
            continue
        for part in parts[at:]:
            value = getattr(value, part)
        return value
    raise ImportError(dotted)


@pytest.mark.parametrize("name", [n for n in NAMES if n.split(".")[0] in OURS])
def test_names_are_spelt_as_they_are(name):
    assert found(name) is not None


def test_they_break_rules_that_there_are():
    known = [
        *CALLS.values(),
        *ATTRIBUTES.values(),
        *(k for each in METHODS.values() for k in each.values()),
    ]
    assert {each.rule for each in known} <= set(RULES)


@pytest.mark.parametrize("name", sorted(name for name in CALLS if not name.endswith(".*")))
def test_every_call_of_the_table_is_found(name):
    module, _, last = name.rpartition(".")
    imported = "" if module == "builtins" else f"from {module} import {last} as called\n"
    called = last if module == "builtins" else "called"
    given = "'x'" if last in {"id", "hash"} else ""
    code = (
        f"from agnt5 import workflow\n{imported}"
        f"@workflow\nasync def flow(ctx):\n    return {called}({given})\n"
    )
    assert [each.rule for each in check_sources({"flows.py": code})] == [CALLS[name].rule]


@pytest.mark.parametrize(
    "name",
    [
        "secrets.compare_digest",
        "subprocess.CalledProcessError",
        "subprocess.list2cmdline",
        "random.a.b",
        "time.mktime",
        "shutil.Error",
        "datetime.datetime",
        "uuid.UUID",
        "os.path.join",
    ],
)
def test_what_is_the_same_on_every_pass_is_not_in_the_tables(name):
    assert known_call(name) is None
