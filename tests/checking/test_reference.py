"""The reference has every rule: its bad example gives that rule alone, its fix gives none."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import ROOT, blocks

from agnt5.checking import RULES, check_sources

PAGE = ROOT / "docs" / "reference" / "check.md"
TEXT = PAGE.read_text(encoding="utf-8")
HEADING = re.compile(r"^### (AG\d+): (.+)$", re.MULTILINE)
SEVERITY = re.compile(r"^### (AG\d+): .+\n\n\*(Error|Warning)\.\*", re.MULTILINE)


def examples():
    """By rule: the blocks of its section. The first block of all is what they share."""
    shared, *rest = [each for each in blocks(PAGE) if each.language == "python"]
    lines = TEXT.splitlines()
    found = {}
    for block in rest:
        headings = [HEADING.match(line) for line in lines[: block.line]]
        rule = [each[1] for each in headings if each][-1]
        found.setdefault(rule, []).append(shared.source + "\n" + block.source)
    return found


EXAMPLES = examples()


def test_every_rule_has_its_section():
    assert dict(HEADING.findall(TEXT)) == {rule.id: rule.name for rule in RULES.values()}
    named = {rule: severity.lower() for rule, severity in SEVERITY.findall(TEXT)}
    assert named == {rule.id: rule.severity for rule in RULES.values()}


def test_every_rule_but_one_has_a_bad_example_and_a_fix():
    assert {rule for rule, pair in EXAMPLES.items() if len(pair) == 2} == set(RULES) - {"AG001"}


@pytest.mark.parametrize("rule", sorted(EXAMPLES))
def test_the_bad_example_gives_its_rule_and_the_fix_none(rule):
    bad, good = EXAMPLES[rule]
    assert [each.rule for each in check_sources({"flows.py": bad})] == [rule]
    assert check_sources({"flows.py": good}) == []
