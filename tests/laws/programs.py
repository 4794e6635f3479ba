"""Random workflow bodies as data: a small tree, a strategy that draws it, and its interpreter.

Every value that a step returns carries the label of the call that asked for it, so that a result
handed to the wrong place shows at once. What a body observes goes, in order, into the trace of its
incarnation; observations inside inline steps do not, because no replay repeats them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel
from tests.laws.world import current, seen

from agnt5 import (
    FunctionContext,
    FunctionRegistry,
    WorkflowContext,
    WorkflowRegistry,
    function,
    workflow,
)
from agnt5.events.keys import idempotency_key
from agnt5.exceptions import BodyClosed

# ------------------------------------------------------------------------------- what steps give


@dataclass(frozen=True)
class Point:
    """A dataclass as a result."""

    label: str
    x: int


class Item(BaseModel):
    """A model as a result."""

    label: str
    price: Decimal


class AppError(Exception):
    """A user's own exception."""


VALUES = {
    "text": lambda label: label,
    "tuple": lambda label: (label, 1, (2.5, None)),
    "when": lambda label: [datetime(2024, 2, 29, tzinfo=UTC), timedelta(seconds=1.5), label],
    "decimal": lambda label: {"label": label, "amount": Decimal("1.50")},
    "point": lambda label: Point(label, 3),
    "item": lambda label: Item(label=label, price=Decimal("0.10")),
    "set": lambda label: {label},
    "bytes": lambda label: label.encode(),
    "path": lambda label: PurePosixPath("/tmp") / label,
    "none": lambda label: None,
}
ERRORS = {"value": ValueError, "key": KeyError, "app": AppError, "os": OSError}

# ------------------------------------------------------------------------------------- the tree


@dataclass(frozen=True)
class Step:
    """One durable call of a function, a lambda or a coroutine."""

    name: str = "a"
    turns: int = 0
    """Turns of the loop that an attempt takes."""
    value: str = "text"
    fails: str | None = None
    times: int = 99
    """How many attempts fail."""
    form: str = "function"
    """function, flaky (retried), blocking (on a thread), inline (a coroutine), callable; careful
    (never run twice), which no random program uses because a crash changes its outcome."""
    key: str | None = None
    lasts: float = 0.0
    """Seconds of the manual clock that an attempt takes."""
    timeout: float | None = None


@dataclass(frozen=True)
class Sleep:
    seconds: float


@dataclass(frozen=True)
class Signal:
    name: str


@dataclass(frozen=True)
class Turns:
    """The body itself takes turns of the loop, without any durable call."""

    count: int


@dataclass(frozen=True)
class Fail:
    """The body itself raises."""

    error: str


@dataclass(frozen=True)
class Seq:
    kids: tuple[Node, ...]


@dataclass(frozen=True)
class Loop:
    times: int
    kid: Node


@dataclass(frozen=True)
class Catch:
    kid: Node
    rescue: Node


@dataclass(frozen=True)
class Cleanup:
    kid: Node
    after: Node


@dataclass(frozen=True)
class Inline:
    """A coroutine as a step, with durable calls inside."""

    name: str
    kid: Node


@dataclass(frozen=True)
class Asked:
    """Calls that are made first and awaited afterwards, in reverse."""

    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Late:
    """A task that is awaited only after something else was done."""

    kid: Node
    meanwhile: Node


@dataclass(frozen=True)
class Together:
    """Several at once: gather, parallel, first, as_completed, group, settled."""

    how: str
    kids: tuple[Node, ...]


@dataclass(frozen=True)
class Timeout:
    seconds: float
    kid: Node


@dataclass(frozen=True)
class Batch:
    """One function over many items, each with the turns that it takes and the error that it has."""

    items: tuple[tuple[int, str | None], ...]
    slots: int
    go_on: bool = True


@dataclass(frozen=True)
class Saga:
    """Steps that are undone when the block fails: the last of them, or what comes after them."""

    steps: tuple[Step, ...]
    at_once: bool
    kid: Node


@dataclass(frozen=True)
class State:
    """The state of the run, written and read; in a step, too, which may fail."""

    in_step: bool
    fails: str | None = None


@dataclass(frozen=True)
class Chance:
    """Time, chance and a decision: what is asked without waiting."""

    patch: str


Node = (
    Step
    | Sleep
    | Signal
    | Turns
    | Fail
    | Seq
    | Loop
    | Catch
    | Cleanup
    | Inline
    | Asked
    | Late
    | Together
    | Timeout
    | Batch
    | Saga
    | State
    | Chance
)


def kids_of(node: Node) -> tuple[Node, ...]:
    """The parts of a program."""
    match node:
        case Seq(kids) | Together(_, kids):
            return kids
        case Asked(steps):
            return steps
        case Loop(_, kid) | Inline(_, kid) | Timeout(_, kid):
            return (kid,)
        case Catch(kid, other) | Cleanup(kid, other) | Late(kid, other):
            return (kid, other)
        case Saga(steps, _, kid):
            return (*steps, kid)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Every node."""
    yield node
    for kid in kids_of(node):
        yield from walk(kid)


def can_fail(node: Node) -> bool:
    """Whether an exception may leave this part."""
    match node:
        case Step():
            return node.fails is not None or node.timeout is not None
        case Fail():
            return True
        case Timeout():
            return True
        case State(_, fails):
            return fails is not None
        case Catch(_, rescue):
            return can_fail(rescue)
        case Together("group" | "settled", _):
            return False
        case _:
            return any(map(can_fail, kids_of(node)))


def is_racy(node: Node) -> bool:
    """Whether the result may depend on what ends first: then a crash may change the winner."""
    match node:
        case Step():
            return node.timeout is not None
        case Timeout() | Together("first" | "as_completed", _):
            return True
        case Batch(items, slots, go_on):
            # How far the others have come when one fails decides which are not begun.
            return not go_on and slots > 1 and any(fails for _, fails in items)
        case Saga(steps, True, _) if sum(map(can_fail, steps)) > 1:
            return True
        case Together("group", kids) if any(map(can_fail, kids)):
            return True
        case Together(_, kids) if sum(map(can_fail, kids)) > 1:
            return True
        case Late(kid, meanwhile) if can_fail(kid) and can_fail(meanwhile):
            return True
        case _:
            return any(map(is_racy, kids_of(node)))


# ---------------------------------------------------------------------------------- the strategy

_NAMES = st.sampled_from("ab")
_TURNS = st.integers(0, 7)
_SECONDS = st.sampled_from([0.5, 2.0, 5.0])
_ERROR_NAMES = st.sampled_from(sorted(ERRORS))
_FORMS = ("function",) * 5 + ("flaky", "flaky", "inline", "inline", "callable")
_NEW_LEAVES = ("batch", "state", "chance")


@st.composite
def steps(draw: Any, *, racy: bool = True, forms: tuple[str, ...] = _FORMS) -> Step:
    """One step."""
    form = draw(st.sampled_from(forms))
    if len(forms) > 1 and draw(st.integers(0, 24)) == 24:
        form = "blocking"
    fails = draw(st.none() | st.none() | _ERROR_NAMES)
    times = draw(st.integers(1, 4)) if form == "flaky" else 99
    return Step(
        name=draw(_NAMES),
        turns=draw(_TURNS),
        value=draw(st.sampled_from(sorted(VALUES))),
        fails=fails,
        times=times,
        form=form,
        key=draw(st.sampled_from([None] * 7 + ["k"])),
        lasts=draw(st.sampled_from([0.0] * 5 + [1.0])) if form in {"function", "flaky"} else 0.0,
        timeout=draw(st.sampled_from([None] * 7 + [0.6])) if racy else None,
    )


@st.composite
def programs(draw: Any, depth: int = 3, *, racy: bool = True) -> Node:
    """A body."""
    leaf = st.integers(0, 9)
    if depth == 0 or draw(leaf) < 3:
        kind = draw(st.sampled_from(["step"] * 8 + ["sleep", "turns", "fail", *_NEW_LEAVES]))
        match kind:
            case "sleep":
                return Sleep(draw(_SECONDS))
            case "turns":
                return Turns(draw(st.integers(1, 5)))
            case "fail":
                return Fail(draw(_ERROR_NAMES))
            case "batch":
                items = st.tuples(_TURNS, st.none() | st.none() | _ERROR_NAMES)
                few_items = draw(st.lists(items, min_size=2, max_size=4).map(tuple))
                slots, go_on = draw(st.integers(1, 3)), draw(st.booleans())
                return Batch(few_items, slots, go_on or not racy)
            case "state":
                fails = draw(st.none() | st.none() | _ERROR_NAMES)
                return State(in_step := draw(st.booleans()), fails if in_step else None)
            case "chance":
                return Chance(draw(_NAMES))
            case _:
                return draw(steps(racy=racy))
    less = programs(depth - 1, racy=racy)
    kinds = ["seq", "seq", "loop", "catch", "cleanup", "inline", "asked", "late"]
    kinds += ["gather", "gather", "parallel", "settled", "group", "saga"]
    if racy:
        kinds += ["first", "first", "as_completed", "group", "timeout"]
    kind = draw(st.sampled_from(kinds))
    few = st.lists(less, min_size=2, max_size=3).map(tuple)
    match kind:
        case "seq":
            return Seq(draw(few))
        case "loop":
            return Loop(draw(st.integers(2, 3)), draw(less))
        case "catch":
            return Catch(draw(less), draw(less))
        case "cleanup":
            return Cleanup(draw(less), draw(less))
        case "inline":
            return Inline(draw(_NAMES), draw(less))
        case "asked":
            return Asked(draw(st.lists(steps(racy=racy), min_size=2, max_size=3).map(tuple)))
        case "late":
            return Late(draw(less), draw(less))
        case "timeout":
            return Timeout(draw(_SECONDS), draw(less))
        case "saga":
            some = st.lists(steps(racy=racy, forms=("function",)), min_size=1, max_size=3)
            return Saga(draw(some.map(tuple)), draw(st.booleans()), draw(less))
        case _:
            return Together(kind, draw(few))


def calls_in(node: Node) -> int:
    """How many durable calls a program makes, about."""
    own = 1 if isinstance(node, (Step, Sleep, Inline, Timeout, State)) else 0
    own += len(node.items) if isinstance(node, Batch) else 0
    inner = sum(map(calls_in, kids_of(node)))
    return own + inner * (node.times if isinstance(node, Loop) else 1)


def small_programs(limit: int = 12, *, racy: bool | None = None) -> st.SearchStrategy[Node]:
    """Programs with a bounded number of calls; ``racy``: only such, only others, or any."""
    found = programs(racy=racy is not False).filter(lambda node: 1 <= calls_in(node) <= limit)
    if racy is None:
        return found
    return found.filter(lambda node: is_racy(node) is racy)


# ------------------------------------------------------------------------------- the interpreter


class Interpreter:
    """Runs a program as a body."""

    def __init__(self, ctx: WorkflowContext) -> None:
        self.ctx = ctx
        self.world = current()
        self.seen: list[tuple[object, ...]] = []
        self.world.passes.append(self.seen)

    def note(self, traced: bool, *what: object) -> None:
        """The body has observed something; what goes on after its end is of no interest."""
        script = self.ctx.script
        if traced and not script.closed and not script.frozen:
            self.seen.append(what)

    async def run(self, node: Node, at: str, traced: bool = True) -> Any:
        """Interpret a node at a place; what it observed."""
        match node:
            case Step():
                return await self.step(node, at, traced)
            case Sleep(seconds):
                future: Any = self.ctx.sleep(seconds)
                await self.waited(future, at, traced)
                return "slept"
            case Signal(name):
                return await self.waited(self.ctx.wait_for_signal(name), at, traced)
            case Turns(count):
                for _ in range(count):
                    await asyncio.sleep(0)
                return "turned"
            case Fail(error):
                raise ERRORS[error](at)
            case Seq(kids):
                return [await self.run(kid, f"{at}.{i}", traced) for i, kid in enumerate(kids)]
            case Loop(times, kid):
                return [await self.run(kid, f"{at}*{i}", traced) for i in range(times)]
            case Catch(kid, rescue):
                try:
                    return await self.run(kid, f"{at}.t", traced)
                except Exception as error:
                    self.note(traced, at, "caught", seen(error))
                    return [seen(error), await self.run(rescue, f"{at}.c", traced)]
            case Cleanup(kid, after):
                try:
                    return await self.run(kid, f"{at}.t", traced)
                finally:
                    await self.run(after, f"{at}.f", traced)
            case Inline(name, kid):
                box: list[str] = []
                future = self.ctx.step(name, self.inside(kid, at, box))
                box.append(future.key)
                return await self.waited(future, at, traced)
            case Asked(steps):
                futures = [self.ask(s, f"{at}.{i}") for i, s in enumerate(steps)]
                back = list(enumerate(futures))[::-1]
                return [await self.waited(f, f"{at}.{i}", traced) for i, f in back]
            case Late(kid, meanwhile):
                task = asyncio.ensure_future(self.run(kid, f"{at}.l", traced))
                # An error of a task that nobody came to await is no concern of this test.
                task.add_done_callback(lambda t: t.cancelled() or t.exception())
                first = await self.run(meanwhile, f"{at}.m", traced)
                return [first, await task]
            case Timeout(seconds, kid):
                try:
                    async with self.ctx.timeout(seconds):
                        return await self.run(kid, f"{at}.t", traced)
                except TimeoutError as error:
                    self.note(traced, at, "late", seen(error))
                    raise
            case Together(how, kids):
                return await getattr(self, how)(kids, at, traced)
            case Batch():
                return await self.batch(node, at, traced)
            case Saga():
                return await self.saga(node, at, traced)
            case State():
                return await self.state(node, at, traced)
            case Chance(patch):
                return self.chance(patch, at, traced)

    async def batch(self, node: Batch, at: str, traced: bool) -> Any:
        """A batch; each outcome that it tells of must be on disk."""
        plain = Step()
        items = [
            self.spec(replace(plain, turns=turns, fails=fails), f"{at}.{i}")
            for i, (turns, fails) in enumerate(node.items)
        ]
        result = await self.ctx.batch(
            work, [{"spec": each} for each in items], node.slots, node.go_on
        )
        for each in result.results:
            if each.status != "cancelled":
                self.check_durable(each.run_id)
        ends = [[each.status, seen(each.output), str(each.error)] for each in result.results]
        self.note(traced, at, result.status, result.stats.duration_ms, repr(ends))
        return [result.status, ends]

    async def saga(self, node: Saga, at: str, traced: bool) -> Any:
        """Steps with undos."""
        async with self.ctx.saga() as saga:

            def begin(i: int, step: Step) -> Any:
                spec = self.spec(step, f"{at}.{i}")
                return saga.step(step.name, FUNCTIONS[step.form], spec, undo=undo)

            if node.at_once:
                begun = [begin(i, step) for i, step in enumerate(node.steps)]
                done = [
                    await self.waited(call, f"{at}.{i}", traced) for i, call in enumerate(begun)
                ]
            else:
                done = [
                    await self.waited(begin(i, step), f"{at}.{i}", traced)
                    for i, step in enumerate(node.steps)
                ]
            return [done, await self.run(node.kid, f"{at}.k", traced)]

    async def state(self, node: State, at: str, traced: bool) -> Any:
        """What is set is there at once, and what a step sets when it has ended well."""
        state, name = self.ctx.state, f"s{at}"
        state.set(name, [1, at])
        expected = [1, at]
        if node.in_step:
            spec = self.spec(Step(fails=node.fails), at)
            try:
                await self.waited(self.ctx.step(stating, name, spec), at, traced)
                expected = [2, at]
            finally:
                if not self.ctx.script.closed and state.get(name) not in ([1, at], expected):
                    self.world.wrong(f"the state at {at} is {state.get(name)}")
        if not self.ctx.script.closed and state.get(name) != expected:
            self.world.wrong(f"the state at {at} is {state.get(name)}, not {expected}")
        state.set("last", at)
        state.delete("last")
        self.note(traced, at, "state", repr(state.get(name)), "last" in state)
        return state.get(name)

    def chance(self, patch: str, at: str, traced: bool) -> Any:
        """The same again in every pass."""
        ctx = self.ctx
        found = [ctx.patched(patch), ctx.random(), ctx.uuid4()]
        self.note(traced, at, "chance", ctx.now(), *found)
        ctx.emit("laws.chance", at)
        return found

    def ask(self, node: Step, at: str) -> Any:
        """Make the durable call of a step."""
        spec = self.spec(node, at)
        options: dict[str, Any] = {}
        if node.key is not None:
            options["key"] = node.key
        if node.timeout is not None:
            options["timeout"] = node.timeout
        box: list[str] = []
        match node.form:
            case "inline":
                future = self.ctx.step(node.name, self.attempted(spec, box), **options)
            case "callable":
                future = self.ctx.step(node.name, self.attempted, spec, box, **options)
            case form:
                future = self.ctx.step(node.name, FUNCTIONS[form], spec, **options)
        box.append(future.key)
        return future

    @staticmethod
    def spec(node: Step, at: str) -> dict[str, Any]:
        """What an attempt of a step is told."""
        return {
            "label": at if node.key is None else "k",
            "turns": node.turns,
            "value": node.value if node.key is None else "text",
            "fails": node.fails if node.key is None else None,
            "times": node.times,
            "lasts": node.lasts,
        }

    async def attempted(self, spec: dict[str, Any], box: list[str]) -> Any:
        """A step that the body runs itself."""
        key = idempotency_key(self.ctx.run_id, box[0])
        return await attempt(key, 0, {**spec, "times": 99})

    async def inside(self, kid: Node, at: str, box: list[str]) -> Any:
        """An inline step with durable calls inside."""
        self.world.begins(idempotency_key(self.ctx.run_id, box[0]), at)
        return repr(await self.run(kid, f"{at}.i", traced=False))

    async def step(self, node: Step, at: str, traced: bool) -> Any:
        """One step, awaited."""
        label = at if node.key is None else "k"
        value = await self.waited(self.ask(node, at), at, traced)
        if node.key is None and node.value != "none" and label not in str(value):
            self.world.wrong(f"{at} was handed the result of another call: {value}")
        return value

    async def waited(self, future: Any, at: str, traced: bool) -> Any:
        """Await a durable call and note what came of it."""
        key = getattr(future, "key", None)
        try:
            value = await future
        except (BodyClosed, asyncio.CancelledError):
            # Not noted: losers are cancelled in the order of a set, as in everybody's code.
            raise
        except Exception as error:
            self.check_durable(key)
            self.note(traced, at, key, seen(error))
            raise
        self.check_durable(key)
        self.note(traced, at, key, seen(value))
        return seen(value)

    def check_durable(self, key: str | None) -> None:
        """Law 2: what the body sees is on disk."""
        if key is not None and (self.ctx.run_id, key) not in self.world.disk.settled:
            self.world.wrong(f"the body saw the outcome of {key!r} before it was durable")

    async def gather(self, kids: tuple[Node, ...], at: str, traced: bool) -> Any:
        return await asyncio.gather(*self.branches(kids, at, traced))

    async def settled(self, kids: tuple[Node, ...], at: str, traced: bool) -> Any:
        results = await asyncio.gather(*self.branches(kids, at, traced), return_exceptions=True)
        return [seen(r) if isinstance(r, BaseException) else r for r in results]

    async def parallel(self, kids: tuple[Node, ...], at: str, traced: bool) -> Any:
        calls: list[Any] = []
        for i, kid in enumerate(kids):
            if isinstance(kid, Step):
                calls.append(self.ask(kid, f"{at}.{i}"))
            else:
                calls.append(self.beside(kid, f"{at}.{i}"))
        return [seen(value) for value in await self.ctx.parallel(*calls)]

    async def beside(self, kid: Node, at: str) -> Any:
        """A coroutine that ctx.parallel makes an inline step of."""
        return repr(await self.run(kid, f"{at}.i", traced=False))

    async def first(self, kids: tuple[Node, ...], at: str, traced: bool) -> Any:
        tasks = [asyncio.ensure_future(c) for c in self.branches(kids, at, traced)]
        try:
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
                task.add_done_callback(lambda t: t.cancelled() or t.exception())
            raise
        for task in pending:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        winners = [i for i, task in enumerate(tasks) if task in done]
        self.note(traced, at, "first", winners)
        ends = [seen(r) if isinstance(r, BaseException) else r for r in results]
        return ["first", winners, ends]

    async def as_completed(self, kids: tuple[Node, ...], at: str, traced: bool) -> Any:
        tasks = [asyncio.ensure_future(c) for c in self.branches(kids, at, traced)]
        for task in tasks:
            task.add_done_callback(lambda t: t.cancelled() or t.exception())
        results = []
        for nearest in asyncio.as_completed(tasks):
            try:
                results.append(await nearest)
            except Exception as error:
                results.append(seen(error))
        self.note(traced, at, "as_completed", repr(results))
        return ["as_completed", results]

    async def group(self, kids: tuple[Node, ...], at: str, traced: bool) -> Any:
        results: dict[int, Any] = {}

        async def one(i: int, kid: Node) -> None:
            results[i] = await self.run(kid, f"{at}.{i}", traced)

        try:
            async with asyncio.TaskGroup() as group:
                for i, kid in enumerate(kids):
                    group.create_task(one(i, kid))
        except* Exception as errors:
            results[-1] = seen(errors)
        self.note(traced, at, "group", repr(results))
        return ["group", sorted(results.items())]

    def branches(self, kids: tuple[Node, ...], at: str, traced: bool) -> list[Any]:
        return [self.run(kid, f"{at}.{i}", traced) for i, kid in enumerate(kids)]


async def attempt(key: str, number: int, spec: dict[str, Any]) -> Any:
    """What every step does."""
    world = current()
    life = world.begins(key, spec["label"])
    life.active += 1
    try:
        for _ in range(spec["turns"]):
            await asyncio.sleep(0)
    finally:
        life.active -= 1
    if spec["lasts"]:
        await life.pass_time(spec["lasts"])
    return _result(number, spec)


def _result(number: int, spec: dict[str, Any]) -> Any:
    if spec["fails"] is not None and number < spec["times"]:
        raise ERRORS[spec["fails"]](f"{spec['label']} attempt {number}")
    return VALUES[spec["value"]](spec["label"])


# --------------------------------------------------------------------------------- the components


@function(name="laws_work")
async def work(ctx: FunctionContext, spec: Any) -> Any:
    """A function of one attempt."""
    return await attempt(ctx.idempotency_key, ctx.attempt, spec)


@function(name="laws_flaky", retries={"max_attempts": 4, "initial_interval_ms": 300})
async def flaky(ctx: FunctionContext, spec: Any) -> Any:
    """A function that is tried again."""
    return await attempt(ctx.idempotency_key, ctx.attempt, spec)


@function(name="laws_blocking")
def blocking(ctx: FunctionContext, spec: Any) -> Any:
    """A function on a thread."""
    current().begins(ctx.idempotency_key, spec["label"])
    return _result(ctx.attempt, spec)


@function(name="laws_careful", recovery="fail")
async def careful(ctx: FunctionContext, spec: Any) -> Any:
    """A function whose effect must not happen twice."""
    return await attempt(ctx.idempotency_key, ctx.attempt, spec)


@function(name="laws_saga_undo")
async def undo(ctx: FunctionContext, spec: Any, result: Any = None) -> None:
    """Undoes a step."""
    current().begins(ctx.idempotency_key, f"undo {spec['label']}")


@function(name="laws_stating")
async def stating(ctx: FunctionContext, name: str, spec: Any) -> Any:
    """Changes the state of the run, and then ends well or not."""
    count, label = ctx.state.get(name)
    ctx.state.set(name, [count + 1, label])
    ctx.state.set("other", 1)
    ctx.state.delete("other")
    return await attempt(ctx.idempotency_key, ctx.attempt, spec)


@workflow(name="laws_program")
async def program(ctx: WorkflowContext) -> Any:
    """The body: whatever program the world holds."""
    interpreter = Interpreter(ctx)
    return await interpreter.run(interpreter.world.program, "r")


FUNCTIONS = {
    "function": work,
    "flaky": flaky,
    "blocking": blocking,
    "careful": careful,
    "undo": undo,
    "stating": stating,
}


def install() -> None:
    """Register the components in empty registries."""
    FunctionRegistry.clear()
    WorkflowRegistry.clear()
    for component in FUNCTIONS.values():
        FunctionRegistry.register(component)
    WorkflowRegistry.register(program)
