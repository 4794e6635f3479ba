"""Values and exceptions come back from the log as they were: equal, and of the same type."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import uuid

import pydantic
import pytest
from tests.api.helpers import twice, until

from agnt5 import AsyncClient, RecordedError, Runtime, function, workflow


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0
    tags: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    at: dt.datetime
    where: Point


class Address(pydantic.BaseModel):
    street: str
    since: dt.date


class Person(pydantic.BaseModel):
    name: str
    addresses: list[Address] = []
    favourite: Colour = Colour.RED


Pair = collections.namedtuple("Pair", "left right")  # noqa: PYI024 - users have them


class Declined(Exception):
    """With an attribute beside its arguments."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason, code)
        self.code_of_bank = code

    def __str__(self) -> str:
        return f"declined: {self.args[0]}"


class Holding(Exception):
    """Has an argument that cannot be recorded."""

    def __str__(self) -> str:
        return "it holds something"


UTC_NOON = dt.datetime(2026, 2, 3, 12, 0, 0, 123456, dt.UTC)
VALUES = [
    None,
    True,
    0,
    -(2**70),
    0.1,
    math.inf,
    -0.0,
    "",
    "ünï \0 ☃ \u2028",
    b"\x00\xff",
    bytearray(b"ab"),
    [],
    {},
    (),
    (1, (2, [3])),
    {1, 2, 3},
    frozenset({"a"}),
    {"a": {"b": [1, None]}},
    {1: "a", (2, 3): "b"},
    {"$": "tuple", "v": [1]},
    complex(1, -2),
    range(1, 10, 2),
    UTC_NOON,
    dt.datetime(2026, 2, 3, 12),
    dt.date(2026, 2, 3),
    dt.time(12, 30),
    dt.timedelta(days=-1, microseconds=5),
    decimal.Decimal("1.10"),
    uuid.UUID(int=5),
    pathlib.PurePosixPath("/tmp/x"),
    Colour.BLUE,
    Level.HIGH,
    Point(1, 2, {"a"}),
    Frozen(UTC_NOON, Point(1)),
    Pair(1, [2]),
    Person(name="Ann", addresses=[Address(street="A", since=dt.date(2020, 1, 1))]),
    [Point(1), {"p": Person(name="Bob", favourite=Colour.BLUE)}],
    collections.OrderedDict(a=1),
    collections.deque([1, 2], maxlen=5),
    ValueError("as a value"),
]


def same(a, b):
    """Equal and of one type; exceptions by class and arguments."""
    if isinstance(a, BaseException):
        return type(a) is type(b) and a.args == b.args
    return type(a) is type(b) and a == b and repr(a) == repr(b)


async def test_every_value_survives_a_replay(store):
    """A hundred shapes of result, from functions and from named steps, live and replayed."""

    @function
    async def give(index):
        return VALUES[index]

    async def body(ctx):
        of_functions = [await ctx.step(give, n) for n in range(len(VALUES))]
        named = [await ctx.step("named", lambda n=n: VALUES[n]) for n in range(len(VALUES))]
        return of_functions, named

    for found in await twice(store, body):
        for column in found:
            wrong = [(type(a), a, b) for a, b in zip(VALUES, column, strict=True) if not same(a, b)]
            assert not wrong


async def test_values_in_inputs_signals_and_outputs(store):
    """The input of a run, the payload of a signal, the output of a run: typed as well."""

    @workflow
    async def echo(ctx, given):
        return [given, await ctx.wait_for_signal("go")]

    for n, value in enumerate(VALUES):
        if isinstance(value, BaseException):
            continue
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            await client.submit("echo", {"given": value}, "workflow", run_id=f"r{n}")
            await runtime.aclose(grace=0)
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            await client.signal(f"r{n}", "go", value)
            live = await client.wait_for_result(f"r{n}", 10)
            assert live.is_success, (value, live.error)
        async with Runtime(store) as runtime:
            later = await AsyncClient(runtime=runtime).get_result(f"r{n}")
        for response in (live, later):
            assert same(response.output[0], value)
            assert same(response.output[1], value)


def chained():
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise Declined("no funds", 51) from error


def raise_it(error):
    raise error


def noted():
    error = ValueError("x")
    error.add_note("a note")
    raise error


FAILURES = {
    "builtin": lambda: raise_it(KeyError("sku")),
    "no message": lambda: raise_it(RuntimeError()),
    "several arguments": lambda: raise_it(OSError(2, "gone", "/x")),
    "division": lambda: 1 / 0,
    "own": lambda: raise_it(Declined("no funds", 51)),
    "chained": chained,
    "notes": noted,
    "group": lambda: raise_it(ExceptionGroup("several", [ValueError(1), KeyError("k")])),
    "unicode": b"\xff".decode,
    "stop": lambda: raise_it(StopIteration(5)),
    "timeout": lambda: raise_it(TimeoutError("late")),
}


def described(error):
    """What a body can know of an exception."""
    cause = error.__cause__
    return (
        type(error),
        str(error),
        error.args if not isinstance(error, ExceptionGroup) else [map(repr, error.exceptions)][:0],
        getattr(error, "__notes__", None),
        vars(error).get("code_of_bank"),
        cause and (type(cause), cause.args),
    )


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("form", ["async", "blocking", "named"])
async def test_every_exception_survives_a_replay(store, case, form):
    """Class, text, arguments, attributes, notes and cause, so that ``except`` decides the same."""
    attempts = []

    @function(name="async")
    async def fails():
        attempts.append(1)
        return FAILURES[case]()

    @function(name="blocking")
    def blocks():
        attempts.append(1)
        return FAILURES[case]()

    async def body(ctx):
        forms = {
            "async": lambda: ctx.step(fails),
            "blocking": lambda: ctx.step(blocks),
            "named": lambda: ctx.step("named", lambda: attempts.append(1) or FAILURES[case]()),
        }
        try:
            await forms[form]()
        except Exception as error:
            return described(error)
        return None

    live, replayed = await twice(store, body)
    assert live == replayed
    assert live is not None
    assert len(attempts) == 1


async def test_an_exception_that_cannot_be_rebuilt_is_the_same_live_and_on_replay(store):
    """One that holds a handle: a body sees the same stand-in both times, with name and text."""

    @function
    async def fails():
        raise Holding(object())

    async def body(ctx):
        try:
            await ctx.step(fails)
        except Exception as error:
            return type(error), str(error), getattr(error, "type_name", "")
        return None

    live, replayed = await twice(store, body)
    assert live == replayed
    assert live[0] is RecordedError
    assert "it holds something" in live[1]
    assert live[2].endswith(":Holding")


async def test_a_mutated_result_does_not_change_the_record(store):
    """What a body does to a step's value is not what a replay gets."""

    async def body(ctx):
        value = await ctx.step("make", lambda: {"n": 1, "list": []})
        before = repr(value)
        value["list"].append("changed")
        second = await ctx.step("next", lambda: 2)
        return before, second

    live, replayed = await twice(store, body)
    assert live == replayed == ("{'n': 1, 'list': []}", 2)


async def test_results_after_a_crash_in_the_middle(store):
    """Closed without grace between two steps: the first result comes typed from the log."""
    types = []

    @function
    async def person():
        return Person(name="Ann")

    @workflow
    async def body(ctx):
        someone = await ctx.step(person)
        types.append(type(someone))
        answer = await ctx.wait_for_signal("go")
        return someone.name + answer

    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.submit("body", {}, "workflow", run_id="r")
        await until(lambda: types)
        await runtime.aclose(grace=0)
    async with Runtime(store) as runtime:
        client = AsyncClient(runtime=runtime)
        await client.signal("r", "go", "!")
        assert (await client.wait_for_result("r", 10)).output == "Ann!"
    assert types == [Person, Person]


async def test_the_error_of_a_run_after_a_restart(store):
    """A failed run says the same before and after a restart."""

    @function
    async def fails():
        raise Declined("no funds", 51)

    async with Runtime(store) as runtime:
        live = await AsyncClient(runtime=runtime).run("fails", run_id="r")
    async with Runtime(store) as runtime:
        later = await AsyncClient(runtime=runtime).get_result("r")
    assert live.error == later.error
    assert live.error.message == "Declined: declined: no funds"
