"""What holds for every program: one bad piece is one finding, in its line; else there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.checking.pieces import (
    BAD,
    ELSEWHERE,
    HARMLESS,
    MARK,
    PLACES,
    bodies_with_one,
    marked_line,
    program,
    statements,
)

from agnt5.checking import RULES, check_sources

places = st.sampled_from(sorted(PLACES))
bad = st.sampled_from(BAD)


def found(code):
    """The rules and lines of the findings."""
    return [(each.rule, each.line) for each in check_sources({"app/flows.py": code})]


@given(st.lists(statements, min_size=1, max_size=5), places)
def test_harmless_pieces_give_nothing(pieces, place):
    assert found(program(PLACES[place], "\n".join(pieces))) == []


@given(st.data(), bad, places)
def test_one_bad_piece_is_one_finding_in_its_line(data, piece, place):
    rule, code = piece
    source = program(PLACES[place], data.draw(bodies_with_one(code)))
    assert found(source) == [(rule, marked_line(source))]


@given(st.data(), bad, st.sampled_from(sorted(ELSEWHERE)))
def test_where_no_replay_comes_by_there_is_nothing_to_find(data, piece, place):
    source = program(ELSEWHERE[place], data.draw(bodies_with_one(piece[1])))
    assert found(source) == []


@given(st.data(), bad, places, st.booleans())
def test_a_comment_silences_its_finding_and_no_other(data, piece, place, names_the_rule):
    rule, code = piece
    source = program(PLACES[place], data.draw(bodies_with_one(code)))
    line = marked_line(source)
    silenced = source.replace(
        MARK, f"# agnt5: ignore[{rule}]" if names_the_rule else "# agnt5: ignore"
    )
    assert found(silenced) == []
    wrong = "AG201" if rule != "AG201" else "AG101"
    wronged = source.replace(MARK, f"# agnt5: ignore[{wrong}]")
    assert sorted(found(wronged)) == sorted([(rule, line), ("AG002", line)])


@given(st.lists(bad, min_size=2, max_size=4), places)
def test_findings_of_several_pieces_add_up(pieces, place):
    body, expected = [], []
    for number, (rule, code) in enumerate(pieces):
        lines = "\n".join(f"    {line}" for line in code.splitlines())
        body.append(f"async def part_{number}():\n{lines}\nawait part_{number}()")
        expected.append(rule)
    source = program(PLACES[place], "\n".join(body))
    lines = [n for n, text in enumerate(source.splitlines(), 1) if text.endswith(MARK)]
    assert found(source) == list(zip(expected, lines, strict=True))


@pytest.mark.parametrize("place", sorted(PLACES))
@pytest.mark.parametrize(("rule", "code"), BAD, ids=[f"{r}-{n}" for n, (r, _) in enumerate(BAD)])
def test_each_bad_piece_alone(rule, code, place):
    source = program(PLACES[place], code)
    assert found(source) == [(rule, marked_line(source))]


def test_each_harmless_piece_alone():
    for piece in HARMLESS:
        assert found(program(PLACES["body"], piece)) == [], piece


def test_every_rule_about_bodies_has_a_piece():
    # These two are about files and functions, and have tests of their own.
    assert {rule for rule, _ in BAD} | {"AG001", "AG002", "AG503"} == set(RULES)
