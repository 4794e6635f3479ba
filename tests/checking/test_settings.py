"""Settings: which rules apply, what is excluded, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.checking import RULES, Settings, settings_of
from agnt5.exceptions import ConfigurationError

prefixes = st.sampled_from(sorted({rule[:n] for rule in RULES for n in (2, 3, 4, 5)}))


@given(st.lists(prefixes, max_size=3), st.lists(prefixes, max_size=3))
def test_selected_and_not_ignored(select, ignore):
    applied = Settings(select=tuple(select), ignore=tuple(ignore)).rules()
    for rule in RULES:
        chosen = not select or any(rule.startswith(each) for each in select)
        dropped = any(rule.startswith(each) for each in ignore)
        assert (rule in applied) == ((chosen and not dropped) or rule == "AG001")


@pytest.mark.parametrize(
    ("pattern", "path", "out"),
    [
        ("tests", "tests/a.py", True),
        ("tests/", "src/tests/a.py", True),
        ("tests", "src/contests/a.py", False),
        ("src/legacy/*", "src/legacy/a.py", True),
        ("src/legacy/*", "src/new/a.py", False),
        ("*_old.py", "src/a_old.py", True),
        ("a.py", "src/a.py", True),
    ],
)
def test_excluded(pattern, path, out):
    assert Settings(exclude=(pattern,)).excludes(path) is out


def test_the_table():
    table = {"select": ["AG1"], "ignore": ["AG104"], "exclude": ["tests"], "fail-on": "error"}
    assert settings_of(table) == Settings(("AG1",), ("AG104",), ("tests",), "error")
    assert settings_of({}) == Settings()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"selct": []}, "no key 'selct'. Did you mean 'select'?"),
        ({"fail_on": "error"}, "Did you mean 'fail-on'?"),
        ({"select": "AG1"}, "select must be a list of texts, not 'AG1'"),
        ({"exclude": [1]}, "exclude must be a list of texts, not [1]"),
        ({"fail-on": "sometimes"}, "fail-on is one of warning, error, never, not 'sometimes'"),
        ({"select": ["AG110"]}, "there is no rule 'AG110'; did you mean"),
        ({"ignore": ["E501"]}, "there is no rule 'E501'"),
    ],
)
def test_what_is_refused(table, says):
    with pytest.raises(ConfigurationError) as caught:
        settings_of(table)
    assert says in str(caught.value)
