"""The undo knows only what was acknowledged, and not what was booked and then reported lost."""

from __future__ import annotations

from agnt5 import WorkflowContext, function, workflow
from agnt5.testing import Effects, Outcome

travel = Effects("travel")
SAYS = "a booking was left standing"


@function
async def mutant_book_hotel(city: str) -> str:
    travel.record("book", city=city)
    return f"hotel in {city}"


@function
async def mutant_unbook_hotel(city: str) -> None:
    travel.record("unbook", city=city)


@workflow
async def buggy_trip(ctx: WorkflowContext, city: str) -> str:
    booked: list[str] = []
    try:
        await ctx.step(mutant_book_hotel, city)
        booked.append(city)
    except ConnectionError:
        for each in booked:
            await ctx.step(mutant_unbook_hotel, each)
        return "no trip"
    return "trip"


@workflow
async def mended_trip(ctx: WorkflowContext, city: str) -> str:
    booked: list[str] = []
    try:
        booked.append(city)
        await ctx.step(mutant_book_hotel, city)
    except ConnectionError:
        for each in booked:
            await ctx.step(mutant_unbook_hotel, each)
        return "no trip"
    return "trip"


def nothing_left_standing(outcome: Outcome) -> None:
    names = {each.name for each in outcome.effects}
    is_left = outcome.value == "no trip" and "book" in names and "unbook" not in names
    assert not is_left, "a booking was left standing"


ARGUMENTS = {
    "input": {"city": "Rome"},
    "failures": {mutant_book_hotel: ConnectionError},
    "check": nothing_left_standing,
}
buggy, mended = buggy_trip, mended_trip
