"""Workflows that use everything at once, somebody outside who talks to them, and their world.

Each *part* is a use of one mechanism, with a result that does not depend on who is faster. The
variants join the parts: one after the other, all at once, inside inline steps, in a class, and in a
workflow without ctx.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.laws.crashing_log import Crash
from tests.laws.families import Families
from tests.laws.world import RUN, Life, World, current, seen

from agnt5 import (
    Entity,
    EntityRegistry,
    FunctionContext,
    FunctionRegistry,
    StepTimeoutError,
    Workflow,
    WorkflowContext,
    WorkflowRegistry,
    function,
    get_current_context,
    query,
    task,
    workflow,
)
from agnt5.events.codec import decode_any
from agnt5.events.entity.state import fold as fold_entity
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.state import fold
from agnt5.exceptions import AGNT5Error

OPTIONS: list[dict[str, Any]] = [{"id": "yes"}, {"id": "no"}]
GIVEN = {"session_id": "s", "user_id": "u"}
LONG = 5_000.0
"""A timeout that is not meant to be reached."""

# ---------------------------------------------------------------------------------- the components


class SinkCounter(Entity):
    """Adds."""

    async def add(self, number: int) -> None:
        self.state.set("total", self.state.get("total", 0) + number)

    @query
    async def total(self) -> int:
        return int(self.state.get("total", 0))


def _begin(ctx: FunctionContext, label: str) -> Life:
    return current().begins(ctx.idempotency_key, label)


@function(name="sink_do")
async def do(
    ctx: FunctionContext, label: str, box: dict[str, Any] | None = None, fails: bool = False
) -> str:
    """One attempt; it changes what it is given, and fails if it is to."""
    life = _begin(ctx, label)
    life.active += 1
    try:
        for _ in range(len(label) % 4):
            await asyncio.sleep(0)
    finally:
        life.active -= 1
    if box is not None:
        box["n"] += 1
        box["by"].append((label, box["n"]))
    if fails:
        raise ValueError(label)
    return label


@function(name="sink_flaky", retries={"max_attempts": 4, "initial_interval_ms": 300})
async def flaky(ctx: FunctionContext, label: str, box: dict[str, Any], fails: int) -> str:
    """Fails some times first."""
    _begin(ctx, label)
    box["by"] = [label]
    if ctx.attempt < fails:
        raise OSError(label)
    return label


@function(name="sink_undo")
async def undo(ctx: FunctionContext, label: str, fails: bool = False, result: Any = None) -> None:
    """Undoes ``do``."""
    _begin(ctx, f"undo {label} {fails} {result}")


@function(name="sink_writes")
async def writes(ctx: FunctionContext, label: str) -> int:
    """Writes the state of the run in a step."""
    _begin(ctx, label)
    ctx.state.set("step", ctx.state.get("body")["n"] + 1)
    ctx.state.delete("old")
    return int(ctx.state.get("step"))


@task
async def sink_task(ctx: FunctionContext, label: str, box: dict[str, Any]) -> tuple[str, datetime]:
    """Called without ctx."""
    _begin(ctx, label)
    box["n"] += 1
    return label, datetime(2024, 2, 29, tzinfo=UTC)


@task
def sink_blocking(ctx: FunctionContext, label: str) -> str:
    """Called without ctx, on a thread."""
    _begin(ctx, label)
    return label


@workflow(name="sink_sub")
async def sub(box: dict[str, Any]) -> str:
    """A workflow called by a workflow: a step of the same run."""
    await sink_task("in sub", box)
    box["sub"] = True
    return "sub"


@workflow(name="sink_child")
async def child(ctx: WorkflowContext, label: str) -> list[Any]:
    """A run of its own, of the same session, and with the same entity."""
    await ctx.session.state.update("count", lambda n: n + 1, 0)
    await SinkCounter("shared").add(10)
    ctx.state.set("own", label)
    await ctx.sleep(0.5)
    return [await ctx.step(do, label), ctx.state.get("own"), (label, 1)]


@workflow(name="sink_bad")
async def bad(ctx: WorkflowContext, label: str) -> None:
    """A child that fails."""
    await ctx.step(do, label)
    raise KeyError(label)


# ---------------------------------------------------------------------------------------- the parts


class Sink:
    """What the parts share: the context, and the trace of what they observe."""

    def __init__(self, ctx: WorkflowContext, trace: list[tuple[object, ...]] | None) -> None:
        self.ctx = ctx
        self.trace = trace

    def note(self, *what: object) -> None:
        """The body has observed something; inside inline steps that is not observed again."""
        if self.trace is not None and not self.ctx.script.closed:
            self.trace.append(tuple(map(seen, what)))


Part = Callable[[Sink], Awaitable[Any]]


async def retried(sink: Sink) -> Any:
    """A step that is tried again, two that change one dict."""
    box: dict[str, Any] = {"n": 0, "by": []}
    alias = box["by"]
    first = await sink.ctx.step(do, "changes", box)
    sink.note("retried", dict(box))
    if alias is not box["by"]:
        current().wrong("a list was replaced and not changed in place")
    values = [first, await sink.ctx.step(flaky, "flaky", box, 2)]
    try:
        await sink.ctx.step("fails", do, "fails", {"n": 1, "by": []}, fails=True)
    except ValueError as error:
        values.append(seen(error))
    sink.note("retried", values, box)
    return [values, box]


async def batched(sink: Sink) -> Any:
    """Batches, one with an item that fails."""
    items = [{"label": f"item{'x' * i}", "fails": i == 2} for i in range(5)]
    result = await sink.ctx.batch(do, items, max_concurrency=2)
    ends = [[each.status, each.output, str(each.error), each.run_id] for each in result.results]
    sink.note("batch", result.status, ends, result.batch_id)
    mapped = await sink.ctx.map(do, ["map", "ma", "m"], 2)
    sink.note("map", mapped)
    return [result.status, ends, mapped]


async def undone(sink: Sink) -> Any:
    """A saga that fails, and one that does not."""
    caught = None
    try:
        async with sink.ctx.saga() as saga:
            await saga.step(do, "first", undo=undo)
            await asyncio.gather(
                saga.step(do, "second", undo=undo), saga.step(do, "third", undo=undo)
            )
            await saga.step(do, "last", fails=True, undo=undo)
    except ValueError as error:
        caught = seen(error)
    async with sink.ctx.saga() as saga:
        kept = await saga.step(do, "kept", undo=undo)
    sink.note("saga", caught, kept)
    return [caught, kept]


async def stated(sink: Sink) -> Any:
    """State of the run, in the body and in a step."""
    state = sink.ctx.state
    state.set("old", 1)
    state.set("body", {"n": 1, "t": (1, 2)})
    step = await sink.ctx.step(writes, "writes")
    names = ["body", "old", "step"]
    found = [state.get(name) for name in names]
    sink.note("state", found)
    state.set("body", {"n": found[2], "t": (step,)})
    state.set("gone", 1)
    state.delete("gone")
    return [found, state.get("body"), "gone" in state]


async def shared(sink: Sink) -> Any:
    """Session, user, entity."""
    ctx = sink.ctx
    session = ctx.session.state
    await session.update("count", lambda n: n + 1, 0)
    await asyncio.gather(*(session.update("pair", lambda n: n + 1, 0) for _ in range(2)))
    await ctx.user.state.set("last", [ctx.run_id])
    last = await ctx.user.state.get("last")
    counter = ctx.entity("SinkCounter", "own")
    await counter.add(2)
    await asyncio.gather(counter.add(3), SinkCounter("own").add(4), SinkCounter("shared").add(1))
    total = await counter.total()
    sink.note("shared", last, total)
    return [last, total]


async def children(sink: Sink) -> Any:
    """A child that ends well, one that fails, one that is given up."""
    good, wrong = sink.ctx.child(child, "child"), sink.ctx.child("sink_bad", label="bad")
    ends = await asyncio.gather(good, wrong, return_exceptions=True)
    sink.note("children", *ends)
    return [good.run_id, *map(seen, ends)]


async def asked(sink: Sink) -> Any:
    """A person who answers, and one who does not."""
    ctx = sink.ctx
    one = ctx.wait_for_user("answered?", "select", OPTIONS, timeout=LONG, on_timeout="no")
    two = ctx.wait_for_user("nobody?", "select", OPTIONS, timeout=3.0, on_timeout="no")
    answers = list(await asyncio.gather(one, two))
    try:
        await ctx.wait_for_user("late?", timeout=1.0)
    except StepTimeoutError:
        answers.append("late")
    sink.note("asked", answers)
    return answers


async def signalled(sink: Sink) -> Any:
    """A signal that comes, and one that does not."""
    got = [await sink.ctx.signal("given", timeout=LONG)]
    try:
        got.append(await sink.ctx.signal("never", timeout=2.0))
    except StepTimeoutError:
        got.append("late")
    sink.note("signalled", got)
    return got


async def recorded(sink: Sink) -> Any:
    """What a body may ask without waiting, and what it says."""
    ctx = sink.ctx
    ctx.progress(1, 2, "half")
    ctx.emit("sink.said", {"n": 1})
    chance = [ctx.patched("sink"), ctx.random(), ctx.uuid4()]
    sink.note("recorded", ctx.now(), *chance)
    await ctx.sleep(1.5)
    try:
        async with ctx.timeout(2.0):
            await ctx.sleep(LONG)
    except TimeoutError as error:
        chance.append(type(error).__name__)
    ctx.emit("sink.said", {"n": 2})
    sink.note("recorded", ctx.now(), ctx.patched("sink"), ctx.uuid4())
    assert isinstance(chance[2], uuid.UUID)
    return chance


PARTS: tuple[Part, ...] = (
    retried,
    batched,
    undone,
    stated,
    shared,
    children,
    asked,
    signalled,
    recorded,
)

# ------------------------------------------------------------------------------------- the variants


def begun(ctx: WorkflowContext) -> Sink:
    """A pass of a body begins: its handlers, its trace."""
    trace: list[tuple[object, ...]] = []
    current().passes.append(trace)
    total = [0]

    async def add(number: int) -> list[Any]:
        label = await ctx.step(do, f"update{number}")
        await ctx.sleep(1.0)
        total[0] += number
        ctx.state.set(label, {"of": number})
        return [label, number]

    def check(number: int) -> None:
        if number < 0:
            raise ValueError(number)

    ctx.set_update_handler("add", add, validator=check)
    ctx.set_query_handler("total", lambda: total[0])
    return Sink(ctx, trace)


async def ended(sink: Sink, result: Any) -> Any:
    """The run waits until everything is said."""
    go = await sink.ctx.signal("go")
    state = sink.ctx.state.to_dict()
    sink.note("end", go, state)
    return [result, go, state]


async def at_once(sink: Sink, parts: Sequence[Part] = PARTS) -> list[Any]:
    """Each part in a branch of its own."""
    return list(await asyncio.gather(*(part(sink) for part in parts)))


@workflow(name="sink_in_order")
async def in_order(ctx: WorkflowContext) -> Any:
    """One after the other."""
    sink = begun(ctx)
    return await ended(sink, [await part(sink) for part in PARTS])


@workflow(name="sink_at_once")
async def gathered(ctx: WorkflowContext) -> Any:
    """All at once, some in branches of branches."""
    sink = begun(ctx)
    first = at_once(sink, PARTS[:4])
    rest = [part(sink) for part in PARTS[4:]]
    return await ended(sink, await asyncio.gather(first, *rest))


@workflow(name="sink_inside")
async def inside(ctx: WorkflowContext) -> Any:
    """Each part in an inline step: a replay does not enter it again."""
    sink = begun(ctx)
    hidden = Sink(ctx, None)
    first = await ctx.step("one", undone(hidden))
    sink.note(first)
    rest = await ctx.parallel(*(part(hidden) for part in PARTS if part is not undone))
    sink.note(rest)
    deep = await ctx.step("deep", _nested(hidden))
    return await ended(sink, [first, rest, deep])


async def _nested(hidden: Sink) -> Any:
    """Parts in inline steps in an inline step."""
    return await hidden.ctx.step("deeper", at_once(hidden, (retried, stated, batched)))


class SinkClass(Workflow):
    """Attributes, methods as steps, and all the rest."""

    def __init__(self) -> None:
        super().__init__("sink_class")
        self.items: list[Any] = []
        self.tags: set[str] = set()

    async def run(self) -> Any:
        sink = begun(self.ctx)
        await self.step("collect", self.collect, "a")
        await self.parallel([("tag", self.tag, "x"), ("tag", self.tag, "y")])
        sink.note(self.items, sorted(self.tags))
        rest = await at_once(sink)
        await self.step("collect", self.collect, "b")
        return await ended(sink, [rest, self.items, sorted(self.tags)])

    async def collect(self, label: str) -> None:
        """A step with a step inside, and changes before and after."""
        self.items.append(label)
        await self.ctx.step(do, f"collect {label}")
        self.items.append((label, len(self.items)))

    async def tag(self, label: str) -> None:
        self.tags.add(label)
        await asyncio.sleep(0)


@workflow(name="sink_implicit")
async def implicit() -> Any:
    """Without ctx: direct calls; what they cannot say is asked of the context that is current."""
    ctx = get_current_context()
    assert isinstance(ctx, WorkflowContext)
    sink = begun(ctx)
    box: dict[str, Any] = {"n": 0}
    called = await asyncio.gather(
        sink_task("one", box), sink_blocking("two"), sub(box), sub({"n": 5})
    )
    sink.note(called, box)
    await SinkCounter("shared").add(100)
    first = await sub(box)
    rest = await at_once(sink)
    await sink_task("three", box)
    sink.note(box)
    return await ended(sink, [called, first, rest, box])


@workflow(name="sink_deployed")
async def deployed(ctx: WorkflowContext) -> Any:
    """Its code is another one from the second life on."""
    world = current()
    trace: list[tuple[object, ...]] = []
    world.passes.append(trace)
    sink, is_new = Sink(ctx, trace), world.is_deployed or len(world.lives) > 1

    async def changed(patch: str) -> str:
        taken = is_new and ctx.patched(patch)
        label = await ctx.step(do, f"{'new' if taken else 'old'} {patch}")
        sink.note(label)
        return label

    first = await changed("one")
    await ctx.sleep(1.0)
    return [first, *await asyncio.gather(changed("two"), changed("three")), await changed("two")]


@workflow(name="sink_beside")
async def beside(ctx: WorkflowContext) -> Any:
    """One branch reads what an inline step in another has set, and has not ended yet."""
    trace: list[tuple[object, ...]] = []
    current().passes.append(trace)
    sink = Sink(ctx, trace)

    async def setting() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        ctx.state.set("set", 1)
        await ctx.step(do, "inner")

    async def reading() -> Any:
        await ctx.step(do, "abc")
        value = ctx.state.get("set")
        sink.note(value)
        return value

    return await asyncio.gather(ctx.step("sets", setting()), reading())


FUNCTIONS = (do, flaky, undo, writes, sink_task, sink_blocking)
WORKFLOWS = (sub, child, bad, in_order, gathered, inside, implicit, deployed, beside)
VARIANTS = ("sink_in_order", "sink_at_once", "sink_inside", "sink_class", "sink_implicit")


def install() -> None:
    """Register the components, beside others."""
    for each in FUNCTIONS:
        FunctionRegistry.register(each)
    for each in WORKFLOWS:
        WorkflowRegistry.register(each)
    SinkClass.agnt5_component.register()
    EntityRegistry.clear()
    EntityRegistry.register(SinkCounter)


# ------------------------------------------------------------------------------------- from outside


class Outside:
    """Says everything, under the same ids, until it is acknowledged; then lets the run end."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    async def __call__(self, life: Life) -> None:
        """One life's worth of it."""
        runs, talks = life.runtime.runs, life.runtime.conversations
        if not await self._until(life, lambda _: True):
            return

        def update(number: int) -> Any:
            return talks.update(RUN, "add", number, f"u{number}", None)

        await asyncio.gather(
            self._answer(life),
            self._say(life, "given", lambda: runs.signal(RUN, "given", 1, "given-1")),
            self._say(life, "u1", lambda: update(1)),
            self._say(life, "u2", lambda: update(2)),
        )
        if len(self.said) >= 4:
            await self._say(life, "total", lambda: talks.query(RUN, "total", (), {}))
            await self._say(life, "go", lambda: runs.signal(RUN, "go", "gone", "go-1"))

    async def _answer(self, life: Life) -> None:
        def is_question(fact: f.RunFact) -> bool:
            return isinstance(fact, f.UserInputRequested) and fact.question == "answered?"

        question = await self._until(life, is_question)
        if question is not None:
            answer = c.SubmitAnswer(None, question.key, actor="ada")
            talks = life.runtime.conversations
            await self._say(life, "answer", lambda: talks.answer(RUN, "yes", answer))

    async def _say(self, life: Life, what: str, say: Callable[[], Awaitable[Any]]) -> None:
        if what in self.said or life.log.crashed:
            return
        try:
            self.said[what] = await say()
        except AGNT5Error:
            if not life.log.crashed:
                raise

    @staticmethod
    async def _until(life: Life, found: Callable[[f.RunFact], bool]) -> Any:
        """The first such fact, once it is on disk; None when the process has died before."""
        disk, at = life.world.disk, -1
        while not life.log.crashed and not life.over:
            if disk.appends != at:
                at = disk.appends
                for fact in disk.facts(RUN):
                    if found(fact):
                        return fact
            await asyncio.sleep(0)
        return None


# --------------------------------------------------------------------------------------- the world

ENTITIES = (
    "$entity/$session/s",
    "$entity/$user/u",
    "$entity/SinkCounter/own",
    "$entity/SinkCounter/shared",
)


CONTESTED = "session.update:"
"""Who changes one value at the same time as another tries again, and not equally often."""
_TELLING = ("output", "error", "answer", "actor", "after", "state", "deleted", "attempt")


def _said(fact: f.RunFact) -> list[Any]:
    """An outcome without times and traces."""
    said: list[Any] = [getattr(fact, name, None) for name in _TELLING]
    said[1] = isinstance(said[1], dict) and (said[1].get("type"), said[1].get("message"))
    return [fact.topic, *said]


class Kitchen(Families):
    """A variant, its children, its entities."""

    quiet = 150
    """A body of so many branches takes long until it rests; time must not pass before."""

    def _check_run(self, run_id: str) -> None:
        super()._check_run(run_id)
        facts = self.disk.facts(run_id)
        for kind, name in (
            (f.UpdateReceived, "update_id"),
            (f.UpdateAnswered, "update_id"),
            (f.SignalReceived, "signal_id"),
            (f.Note, "key"),
        ):
            ids = [getattr(fact, name) for fact in facts if isinstance(fact, kind)]
            if len(ids) != len(set(ids)):
                self.wrong(f"{run_id} holds {kind} twice: {ids}")

    def contents(self) -> dict[str, Any]:
        """What the entities and shared states hold."""
        return {
            stream: fold_entity(decode_any(row) for row in self.disk.log.read(stream)).values
            for stream in ENTITIES
        }

    def remains(self) -> dict[str, dict[str, Any]]:
        """What is left of each run, without times and without counts of attempts."""
        return {run_id: self._remains_of(run_id) for run_id in self.disk.log.run_ids()}

    def _remains_of(self, run_id: str) -> dict[str, Any]:
        state = fold(run_id, self.disk.history(run_id))
        settled = {key for key in state.settled if CONTESTED not in key}
        left: dict[str, Any] = {
            "phase": state.phase,
            "settled": settled,
            "values": state.values,
            "noted": state.noted,
            "markers": state.markers,
            "answers": {key: each and each.answer for key, each in state.answers.items()},
            "updates": {key: each and each.output for key, each in state.updates.items()},
            "consumed": {key: each.signal_id for key, each in state.consumed.items()},
            "signals": state.signals,
            "children": state.children,
            "output": state.output,
        }
        for fact in self.disk.facts(run_id):
            if isinstance(fact, f.Outcome) and CONTESTED not in fact.key:
                left[f"outcome of {fact.key}"] = _said(fact)
        return left

    def undone(self) -> list[Any]:
        """What was undone, in order."""
        return [
            fact.input
            for fact in self.disk.facts(RUN)
            if isinstance(fact, f.StepScheduled) and fact.function == "sink_undo"
        ]


async def play(variant: str, crashes: Sequence[Crash] = (), **options: Any) -> Kitchen:
    """Play a variant to its end, through these crashes, one per life."""
    world = Kitchen(variant, name=variant, given=GIVEN, **options)
    outside = Outside()
    for crash in crashes:
        if not (await world.live(crash, outside)).crashed:
            break
    while not world._is_over():
        await world.live(None, outside)
    world.check_families()
    world.check_passes()
    said = {**outside.said}
    if any(said.get(f"u{n}", [f"update{n}", n]) != [f"update{n}", n] for n in (1, 2)):
        world.wrong(f"an update was answered with {said}")
    return world


def executed(world: World) -> list[str]:
    """The keys of the steps whose code began, in all lives."""
    return [key for life in world.lives for key in life.executed]
