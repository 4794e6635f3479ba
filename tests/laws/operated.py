"""Workflows that are operated on, and the house in which that happens: one file, many lives.

The runtime is the real one on a real SQLite file, encrypted and chained as drawn; only threads and
time are taken from it, so that one example is one history. A crash is what is on the disk at that
moment, opened by the next life.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from agnt5 import (
    AsyncClient,
    Entity,
    FunctionContext,
    HashChain,
    Keyring,
    Limits,
    SigningKey,
    WorkflowContext,
)
from agnt5.entity import EntityRegistry
from agnt5.events.log import Append, EventLog, Sink
from agnt5.events.run.state import RunState, fold
from agnt5.events.shredded import show_history
from agnt5.events.stores import open_store
from agnt5.events.stores.sqlite import SqliteLog
from agnt5.exceptions import StaleEpochError
from agnt5.function import function
from agnt5.policies import BackoffPolicy, BackoffType, RetryPolicy
from agnt5.registry import FunctionRegistry, WorkflowRegistry
from agnt5.testing.house import SimulatedRuntime
from agnt5.testing.inline import SimulatedBus
from agnt5.testing.loop import START_US, VirtualClock, VirtualLoop
from agnt5.workflow import workflow

T = TypeVar("T")
KEY = SigningKey(bytes(range(32)))
_OUTCOMES = {"StepCompleted", "StepFailed"}
_QUIET_TURNS, _MOST_TURNS = 3, 100_000
PATIENCE_S = 120.0
"""Virtual seconds in which every request is answered."""
LONG = "long " * 16_000
"""Longer than what is kept with the other facts."""


class DyingLog:
    """A SQLite log whose process dies: nothing is recorded after so many more appends."""

    def __init__(self, inner: SqliteLog, settled: set[tuple[str, str]]) -> None:
        self.inner = inner
        self.left: int | None = None
        self.dead = False
        self.settled = settled
        self._over = Event()
        self._sink: Sink = list

    def start(self, sink: Sink) -> None:
        """Begin to write."""
        self._sink = sink
        self.inner.start(lambda _: self._over.set())

    def append(self, requests: Sequence[Append]) -> None:
        """Write each by itself, and wait for the disk: the order is always the same."""
        for each in requests:
            if self.left == 0:
                self.dead = True
            if self.dead:
                each.error = StaleEpochError("the process has crashed")
                each.chain.broken = each.chain.broken or each.error
            else:
                self.left = None if self.left is None else self.left - 1
                each.urgent = True
                self._over.clear()
                self.inner.append([each])
                self._over.wait()
                self._note(each)
            self._sink([each])

    def _note(self, each: Append) -> None:
        if each.error is None:
            over = [raw.step or "" for raw in each.facts if raw.topic in _OUTCOMES]
            self.settled.update((each.stream, key) for key in over)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the store's."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.inner, name)


class Ids:
    """Ids of runs that grow, through all lives."""

    def __init__(self) -> None:
        self.count = 0

    def run_id(self) -> str:
        self.count += 1
        return f"r{self.count:05}"

    def event_id(self) -> str:
        self.count += 1
        return f"e{self.count:05}"


class House:
    """A store, and its runtime of now."""

    def __init__(
        self, folder: Path, *, encrypted: bool, chained: bool, park_after: float, limits: Limits
    ) -> None:
        self.folder = folder
        self.masters = [1] if encrypted else []
        """Numbers of the master keys that are given, the newest one last."""
        self.is_chained = chained
        self.limits = limits
        self.began: list[tuple[str, str, str]] = []
        """Of each attempt of a step: its run, its key, its idempotency key."""
        self.settled: set[tuple[str, str]] = set()
        """Steps whose outcome is on the disk: the run, and the key."""
        self.problems: list[str] = []
        self.breaks = True
        """Whether what can fail does."""
        self.lives = 0
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.ids = Ids()
        self._park_after = park_after
        self.open()

    # Lives.

    @property
    def loop(self) -> VirtualLoop:
        return self.runner.get_loop()  # type: ignore[return-value]

    @property
    def path(self) -> Path:
        return self.folder / f"store{self.lives}.db"

    @property
    def keyring(self) -> Keyring | None:
        keys = {f"k{number}": bytes([number]) * 32 for number in self.masters}
        return Keyring(keys, newest=list(keys)[-1]) if keys else None

    @property
    def log(self) -> EventLog:
        """As the runtime sees it, in clear."""
        found = self.runtime._log
        assert found is not None
        return found

    def open(self) -> None:
        """Begin a life on what is there."""
        chain = HashChain(KEY, every=20) if self.is_chained else None
        log = open_store(f"sqlite:///{self.path}", chain=chain, durability="process")
        assert isinstance(log, SqliteLog)
        self.disk = DyingLog(log, self.settled)
        options: dict[str, Any] = {"encryption": self.keyring, "limits": self.limits}
        self.runtime = SimulatedRuntime(
            self.disk,  # type: ignore[arg-type]
            VirtualClock(self.loop, START_US),
            park_after=self._park_after,
            **options,
        )
        self.runtime.bus_class = type("OperatedBus", (_Bus,), {"numbers": self.ids})
        self.runner.run(self.runtime.start())
        self.client = AsyncClient(runtime=self.runtime)
        self.wait(0.05)

    def close(self) -> None:
        """End this life in peace."""
        self.runner.run(self.runtime.aclose(1.0))

    def crash(self) -> None:
        """End it at once, and go on with what the disk holds at this moment."""
        self.disk.dead = True
        before = self.path
        self.lives += 1
        for suffix in ("", "-wal"):
            if (file := before.with_name(before.name + suffix)).exists():
                shutil.copyfile(file, self.path.with_name(self.path.name + suffix))
        self.runner.run(self.runtime.aclose(0))

    # What is asked.

    def do(self, request: Coroutine[Any, Any, T]) -> T:
        """Ask, and wait until nothing is ready any more."""

        async def asked() -> T:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await request
            finally:
                await asyncio.sleep(0.05)

        try:
            return self.runner.run(asked())
        finally:
            self.turn()

    def wait(self, seconds: float) -> None:
        """Let time pass, and what is due then happen."""
        self.runner.run(asyncio.sleep(seconds))
        self.turn()

    def turn(self) -> None:
        """Let what is ready happen, and what comes of it, while time stands still."""

        async def turns() -> None:
            quiet = 0
            for _ in range(_MOST_TURNS):
                await asyncio.sleep(0)
                quiet = 0 if self.loop._ready else quiet + 1
                if quiet == _QUIET_TURNS:
                    return
            raise AssertionError("there is no rest")

        self.runner.run(turns())

    # What is there.

    def states(self) -> dict[str, RunState]:
        """Every run as its events say it; of what was shredded, what is left."""
        ids = self.log.run_ids()
        return {run: fold(run, show_history(rows)) for run, rows in self.log.read_many(ids).items()}

    def history(self, run_id: str) -> list[Any]:
        """What a run has recorded."""
        return [fact for fact, _ in show_history(self.log.read(run_id))]

    def contents(self) -> dict[str, Any]:
        """All that a request may change, whatever its place in the file."""
        found: dict[str, Any] = {}
        with self.log.view() as view:
            for stream in (*self.log.run_ids(), *self.log.other_streams()):
                found[f"events of {stream}"] = [replace(e, position=0) for e in view.read(stream)]
            found |= {f"row of {row.run_id}": row for row in view.run_rows()}
            keys = [replace(key, replaces=None) for key in view.key_bindings()]
            found |= {f"key {key.scope}": key for key in keys}
        return found

    def calm(self, seconds: float = 0.3) -> None:
        """Wait until nothing happens by itself for so long."""
        for _ in range(300):
            alarms = [a.when() for a in self.loop._alarms if not a.cancelled()]
            if min(alarms, default=1e18) > self.loop.time() + seconds:
                return
            self.wait(0.1)
        raise AssertionError("there is no rest")

    def begins(self, run_id: str, key: str, shown: str) -> None:
        """An attempt begins."""
        if not self.disk.dead:
            self.began.append((run_id, key, shown))
            if (run_id, key) in self.settled:
                self.problems.append(f"{key} of {run_id} ran although its outcome is on record")


class _Bus(SimulatedBus):
    numbers: Any = None

    def __init__(self, log: EventLog, *args: Any, **kwargs: Any) -> None:
        super().__init__(log, *args, **kwargs)
        self.ids = self.numbers


house: House | None = None
"""The one in which user code runs."""


def here() -> House:
    """The house in which user code runs."""
    assert house is not None
    return house


@function(
    name="op_work",
    retries=RetryPolicy(max_attempts=2),
    backoff=BackoffPolicy(BackoffType.CONSTANT),
)
async def work(ctx: FunctionContext, label: str, fails: int = 0) -> str:
    """A step that fails so often, while things break."""
    info = ctx._info
    assert info is not None
    here().begins(info.run_id, info.key, info.idempotency_key)
    await asyncio.sleep(0)
    if here().breaks and ctx.attempt < fails:
        raise ValueError(label)
    return label


class OpCounter(Entity):
    """Counts."""

    async def add(self, n: int) -> int:
        total: int = self.state.get("total", 0) + n
        self.state.set("total", total)
        return total


@workflow(name="op_steps")
async def steps(ctx: WorkflowContext, fails: int = 0) -> Any:
    """One step after the other, of which the second one may fail."""
    first = await ctx.step(work, "first")
    return [first, await ctx.step(work, "second", fails), await ctx.step(work, "third")]


@workflow(name="op_talk")
async def talk(ctx: WorkflowContext, fails: int = 0) -> Any:
    """Waits for the world, and cleans up."""
    try:
        ctx.state.set("asked", True)
        said = await ctx.wait_for_signal("go")
        answer = await ctx.wait_for_user("well?")
        return [said, answer, await ctx.step(work, "after", fails)]
    except asyncio.CancelledError:
        await ctx.step(work, "cleanup")
        raise


@workflow(name="op_branches")
async def branches(ctx: WorkflowContext, fails: int = 0) -> Any:
    """Several things at once, one of them an entity."""

    async def late() -> Any:
        await ctx.sleep(3)
        return await ctx.step(work, "late", fails)

    async def counted() -> Any:
        total = await ctx.entity("OpCounter", "one").add(1)
        ctx.state.set("total", total)
        return await ctx.step(work, "counted")

    await asyncio.gather(late(), counted(), ctx.step(work, "beside", fails))
    return ctx.state.get("total") is not None


@workflow(name="op_parent")
async def parent(ctx: WorkflowContext, fails: int = 0) -> Any:
    """Has two children, and leaves one of them."""
    ctx.child(steps, 0, on_parent_end="abandon")
    said = await ctx.child(talk, fails, key="talk")
    return [said, await ctx.step(work, "parent")]


@workflow(name="op_rounds")
async def rounds(ctx: WorkflowContext, fails: int = 0, n: int = 2) -> Any:
    """Goes on as a new run."""
    ctx.state.set("round", n)
    await ctx.step(work, f"round {n}", fails if n == 1 else 0)
    await ctx.sleep(2)
    if n:
        return ctx.continue_as_new(fails, n - 1)
    return await ctx.wait_for_signal("go")


@workflow(name="op_long")
async def long(ctx: WorkflowContext, fails: int = 0, text: str = LONG) -> Any:
    """Says much."""
    said = await ctx.step(work, text, fails)
    await ctx.sleep(1)
    return said


WORKFLOWS = (steps, talk, branches, parent, rounds, long)
OUTPUTS: dict[str, Any] = {
    "op_steps": ["first", "second", "third"],
    "op_talk": ["said", "yes", "after"],
    "op_branches": True,
    "op_parent": [["said", "yes", "after"], "parent"],
    "op_rounds": "said",
    "op_long": LONG,
}
"""What each of them returns, if it ends well, whatever was done to it."""


def install() -> None:
    """Register the components, and nothing else."""
    for registry in (FunctionRegistry, WorkflowRegistry, EntityRegistry):
        registry.clear()
    FunctionRegistry.register(work)
    for each in WORKFLOWS:
        WorkflowRegistry.register(each)
    EntityRegistry.register(OpCounter)
