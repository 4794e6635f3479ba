"""Comments that switch rules off, and those that switch off nothing."""

from __future__ import annotations

import pytest

from agnt5.checking import Settings, check_sources

HEAD = "import time, random\nfrom agnt5 import workflow\n@workflow\nasync def flow(ctx):\n"


def found(body, settings=None):
    """Rules, lines and columns; the body begins at line 5."""
    code = HEAD + "\n".join(f"    {line}" for line in body.splitlines()) + "\n"
    return [(f.rule, f.line) for f in check_sources({"flows.py": code}, settings)]


@pytest.mark.parametrize(
    "comment",
    [
        "# agnt5: ignore[AG101]",
        "#agnt5:ignore[AG101]",
        "# agnt5: ignore[ AG101 , AG101 ]",
        "# agnt5: ignore",
        "# noqa: X # agnt5: ignore[AG101] because it is 9 o'clock",
    ],
)
def test_spellings(comment):
    assert found(f"return time.time()  {comment}") == []


def test_it_may_stand_in_any_line_of_the_call():
    assert found("return time.strftime(\n    '%Y'  # agnt5: ignore[AG101]\n)") == []
    assert found("return time.strftime(\n    '%Y'\n)  # agnt5: ignore[AG101]") == []
    assert found("# agnt5: ignore[AG101]\nreturn time.time()") == [("AG002", 5), ("AG101", 6)]


def test_only_the_rules_that_it_names():
    body = "return time.time() + random.random()  # agnt5: ignore[AG101]"
    assert found(body) == [("AG102", 5)]
    both = "return time.time() + random.random()  # agnt5: ignore[AG101, AG102]"
    assert found(both) == []


def test_the_part_that_ignores_nothing_is_named():
    code = HEAD + "    return time.time()  # agnt5: ignore[AG101, AG201, AG999]\n"
    (finding,) = check_sources({"flows.py": code})
    assert finding.rule == "AG002"
    assert finding.message == "this comment ignores nothing: there is no rule AG999"
    assert (finding.line, finding.column) == (5, 25)
    idle = HEAD + "    return time.time()  # agnt5: ignore[AG101, AG201]\n"
    (finding,) = check_sources({"flows.py": idle})
    assert finding.message == "this comment ignores nothing: nothing is found here of AG201"


def test_what_is_not_applied_is_not_judged():
    body = "return 1  # agnt5: ignore[AG101]"
    assert found(body) == [("AG002", 5)]
    assert found(body, Settings(ignore=("AG101",))) == []
    assert found(body, Settings(select=("AG2", "AG002"))) == []
    assert found("return 1  # agnt5: ignore", Settings(ignore=("AG104",))) == []
    assert found("return 1  # agnt5: ignore") == [("AG002", 5)]
    assert found(body, Settings(ignore=("AG002",))) == []


def test_a_text_is_no_comment():
    assert found("return time.time(), '# agnt5: ignore[AG101]'") == [("AG101", 5)]


def test_an_empty_list_ignores_nothing():
    assert found("return time.time()  # agnt5: ignore[]") == [("AG101", 5)]


def test_a_file_that_is_no_python_cannot_be_ignored():
    (finding,) = check_sources({"flows.py": "def (:  # agnt5: ignore\n"}, Settings(ignore=("AG",)))
    assert finding.rule == "AG001"


@pytest.mark.parametrize(
    "code",
    ["x = '\0'", "x = (" * 5000, "x = " + "-" * 50_000 + "1", "\ufeff\ufeffx = 1", "x = 'a\nb'"],
    ids=["null", "brackets", "minus", "marks", "text"],
)
def test_what_cannot_be_parsed_is_a_finding(code):
    assert [f.rule for f in check_sources({"flows.py": code})] == ["AG001"]


def test_what_is_nested_too_deeply_to_be_looked_at_is_a_finding():
    """Whether the parser refuses it or this package does."""
    (finding,) = check_sources({"flows.py": "x = a" + ".b" * 3000})
    assert finding.rule == "AG001"
    assert finding.message.startswith("this is not Python that can be read: ")


def test_warnings_of_the_parser_are_no_findings():
    assert check_sources({"flows.py": "x = '\\d'\ny = 1 is 1\n"}) == []


def test_what_is_nested_deeply_has_a_message_all_the_same():
    target = "SEEN" + "[0]" * 400
    code = (
        f"from agnt5 import workflow\nSEEN = []\n@workflow\nasync def f(ctx):\n    {target} = 1\n"
    )
    (finding,) = check_sources({"flows.py": code})
    assert finding.message.startswith("'...' is changed")


def test_one_file_that_is_no_python_leaves_the_others():
    sources = {"a.py": "def (:", "b.py": HEAD + "    return time.time()\n"}
    assert [(f.path, f.rule) for f in check_sources(sources)] == [
        ("a.py", "AG001"),
        ("b.py", "AG101"),
    ]
