"""What the pages say is true: their code runs, their links lead somewhere."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from tests.docs.pages import LANGUAGES, PAGES, ROOT, blocks, label, run_page

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


@cache
def anchors(path: Path) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_the_code_of_a_page_runs(path: Path) -> None:
    run_page(path)


BESIDE = [ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]


@pytest.mark.parametrize("path", PAGES + BESIDE, ids=label)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(prose(path)):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), f"{label(path)} links to {link}, which is not there"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{label(path)}: {link} has no such heading"


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_make_has_the_targets_that_a_page_names(path: Path) -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    shell = "\n".join(block.source for block in blocks(path) if block.language == "console")
    named = re.findall(r"^\$ make ([a-z-]+)", shell, re.MULTILINE)
    named += re.findall(r"`make ([a-z-]+)`", prose(path))
    assert set(named) <= targets


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_a_page_is_reached_from_the_index(path: Path) -> None:
    """Nobody finds a page that nothing links to."""
    start = ROOT / "docs" / "index.md"
    linked = {
        (start.parent / each.partition("#")[0]).resolve() for each in LINK.findall(prose(start))
    }
    assert path in linked | {start}


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_blocks_name_their_language(path: Path) -> None:
    opened = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("```")
    ]
    for fence in opened[::2]:
        assert fence[3:] in LANGUAGES, f"{label(path)}: {fence!r}"


@pytest.mark.parametrize("path", PAGES, ids=label)
def test_an_empty_line_ends_a_table(path: Path) -> None:
    """Without one, what follows is a row of the table."""
    for before, after in pairwise(prose(path).splitlines()):
        assert not (before.startswith("| ") and after) or after.startswith("|"), after


def test_decisions_are_short() -> None:
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 60, label(path)
