"""Code that is right gives nothing: the seed documents, our examples, the pages of the docs."""

from __future__ import annotations

import pytest
from tests.docs.pages import PAGES, ROOT, blocks, label
from tests.seeds.test_seeds import ALL, FOLDER, code_of

from agnt5.checking import check_sources

SHIPPED = [
    path
    for folder in ("examples", "benchmarks", "src", "tests/seeds", "tests/e2e")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
# The bad examples of this page have a test of their own.
CLEAN = [path for path in PAGES if path.name != "check.md" or path.parent.name != "reference"]
OURS = "from agnt5 import Agent, Workflow, WorkflowContext, function, task, tool, workflow\n"
IMPORTS = "import asyncio\nfrom datetime import datetime\n" + OURS
BUGS = {"docs/tutorial/prove-a-workflow.md": ["AG502"]}
"""Pages that begin with a bug."""
MEANT = {
    ("002-1", "AG101", "start_time"),
    ("002-1", "AG101", "duration"),
    ("002-15", "AG201", "asyncio.sleep(2 ** attempt)"),
}
"""What is found in the seed documents once their imports are there: two readings of the clock whose
difference is wrong after a crash, and a sleep that document 001 itself advises against."""


def test_examples_and_the_library_itself():
    sources = {label(path): path.read_text(encoding="utf-8") for path in SHIPPED}
    assert len(sources) > 200
    assert check_sources(sources) == []


@pytest.mark.parametrize("path", CLEAN, ids=label)
def test_pages(path):
    code = "\n".join(each.source for each in blocks(path) if each.language == "python")
    found = check_sources({label(path): code})
    assert [each.rule for each in found] == BUGS.get(label(path), [])


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the seed documents are not in {FOLDER}")
class TestSeeds:
    def test_as_they_are_printed(self):
        sources = {f"seeds/s{number}_{n}.py": OURS + code_of(number, n) for number, n in ALL}
        assert len(sources) > 40
        assert [each for each in sources.values() if "@workflow" in each]
        assert check_sources(sources) == []

    def test_with_their_imports_only_what_is_true(self):
        found = set()
        for number, n in ALL:
            code = IMPORTS + code_of(number, n)
            for each in check_sources({"flows.py": code}):
                found.add((f"{number}-{n}", each.rule, code.splitlines()[each.line - 1].strip()))
        assert len(found) == len(MEANT)
        for where, rule, text in MEANT:
            assert any((where, rule) == each[:2] and text in each[2] for each in found), found
