"""Entities: one call that writes per key, recorded calls, typed state, queries, clients."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TypedDict

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field
from tests.api.helpers import run_workflow, turns, twice, until, written

from agnt5 import (
    AsyncClient,
    Client,
    ConfigurationError,
    Entity,
    EntityRegistry,
    ExecutionError,
    InvalidInputError,
    Runtime,
    RuntimeClosedError,
    StateError,
    UnknownComponentError,
    entity,
    function,
    query,
    rebuild_index,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.entity import create_entity_context, with_entity_context


@dataclass
class Basket:
    lines: list[str] = field(default_factory=list)
    total: int = 0

    @property
    def size(self) -> int:
        return len(self.lines)


class Account(BaseModel):
    owner: str = "nobody"
    cents: int = 0


class Aliased(BaseModel):
    total: int = Field(0, alias="Total")
    first: int = Field(0, validation_alias=AliasChoices("First", "one"))
    deep: int = Field(0, validation_alias=AliasPath("data", "deep"))


@dataclass
class Tally:
    total: int = 0
    first: int = field(default=0, init=False)
    deep: int = field(default=0, init=False)


class Note(TypedDict, total=False):
    text: str


@pytest.fixture
def counter():
    class Counter(Entity):
        async def add(self, n: int = 1) -> int:
            total = self.state.get("total", 0) + n
            await asyncio.sleep(0)
            self.state.set("total", total)
            return total

        async def add_twice(self, n: int) -> int:
            await self.add(n)
            return await self.add(n)

        async def fail(self) -> None:
            self.state.set("total", 999)
            raise ValueError("out of order")

        @query
        async def total(self) -> int:
            return self.state.get("total", 0)

        @query
        async def cheat(self) -> None:
            self.state.set("total", 5)

        async def unrecordable(self) -> object:
            self.state.set("total", 5)
            return lambda: 0

        def sync(self) -> int:
            return self.state.get("total")

    return Counter


async def facts_of(runtime, stream):
    await written(runtime)
    return [row.topic for row in runtime._log.read(stream)]


class TestCalls:
    async def test_calls_of_one_key_never_overlap(self, store, counter):
        async with Runtime(store):
            found = await asyncio.gather(*(counter("k").add() for _ in range(30)))
            assert found == list(range(1, 31))
            assert await counter("k").total() == 30
            assert await counter("other").total() == 0

    async def test_different_keys_run_at_the_same_time(self, store):
        inside, leave = set(), asyncio.Event()

        class Gate(Entity):
            async def enter(self):
                inside.add(self.key)
                await leave.wait()

        async with Runtime(store):
            calls = [asyncio.ensure_future(Gate(key).enter()) for key in "abc"]
            second = asyncio.ensure_future(Gate("a").enter())
            await until(lambda: len(inside) == 3)
            leave.set()
            await asyncio.gather(*calls, second)

    async def test_what_was_changed_is_there_after_a_restart(self, store, counter):
        async with Runtime(store):
            for _ in range(70):
                await counter("k").add()
        async with Runtime(store) as runtime:
            assert await counter("k").total() == 70
            topics = await facts_of(runtime, "$entity/Counter/k")
            assert topics[63] == "EntitySnapshot"
            assert len(topics) == 71

    async def test_a_method_that_fails_changes_nothing_and_says_why(self, store, counter):
        async with Runtime(store) as runtime:
            await counter("k").add(2)
            with pytest.raises(ExecutionError, match="Entity method fail failed: .*order") as got:
                await counter("k").fail()
            assert isinstance(got.value.__cause__, ValueError)
            assert await counter("k").total() == 2
            assert (await facts_of(runtime, "$entity/Counter/k"))[-1] == "EntityCallFailed"
            with pytest.raises(ExecutionError, match="unrecordable"):
                await counter("k").unrecordable()
            assert await counter("k").total() == 2

    async def test_a_method_that_calls_another_is_one_call(self, store, counter):
        async with Runtime(store) as runtime:
            assert await counter("k").add_twice(3) == 6
            assert await facts_of(runtime, "$entity/Counter/k") == ["EntityCallCompleted"]

    async def test_queries_run_beside_a_write_and_see_what_is_on_disk(self, store):
        half, go = asyncio.Event(), asyncio.Event()

        class Slow(Entity):
            async def write(self):
                self.state.set("n", 1)
                half.set()
                await go.wait()

            @query
            async def read(self):
                return self.state.get("n")

        async with Runtime(store):
            writing = asyncio.ensure_future(Slow("k").write())
            await half.wait()
            assert await Slow("k").read() is None
            go.set()
            await writing
            assert await Slow("k").read() == 1

    async def test_queries_write_nothing(self, store, counter):
        async with Runtime(store) as runtime:
            await counter("k").add()
            before = await written(runtime)
            assert await counter("k").total() == 1
            with pytest.raises(ExecutionError, match="@query method cannot set 'total'"):
                await counter("k").cheat()
            assert await written(runtime) == before

    async def test_the_state_is_there_within_methods_only(self, store, counter):
        kept = []

        class Leaky(Entity):
            async def leak(self):
                kept.append(self)

        async with Runtime(store):
            with pytest.raises(RuntimeError, match="within its async methods only"):
                counter("k").sync()
            await Leaky("k").leak()
            with pytest.raises(RuntimeError, match="within its async methods only"):
                _ = kept[0].state

    async def test_entities_that_call_in_a_circle_are_refused(self, store):
        class Ping(Entity):
            async def hit(self):
                await Pong("k").hit()

        class Pong(Entity):
            async def hit(self):
                await Ping("k").hit()

        async with Runtime(store):
            with pytest.raises(ExecutionError, match="in a circle"):
                await Ping("k").hit()

    async def test_a_caller_that_leaves_frees_the_key(self, store):
        begun = asyncio.Event()

        class Stuck(Entity):
            async def hang(self):
                begun.set()
                await asyncio.Event().wait()

            async def work(self):
                return 1

        async with Runtime(store, grace=0):
            hanging = asyncio.ensure_future(Stuck("k").hang())
            await begun.wait()
            waiting = asyncio.ensure_future(Stuck("k").hang())
            await turns()
            hanging.cancel()
            waiting.cancel()
            assert await Stuck("k").work() == 1

    async def test_a_call_under_way_may_end_within_the_grace(self, store):
        begun, go = asyncio.Event(), asyncio.Event()

        class Slow(Entity):
            async def work(self):
                begun.set()
                await go.wait()
                self.state.set("n", 1)
                return 1

        runtime = Runtime(store, grace=10)
        await runtime.start()
        working = asyncio.ensure_future(Slow("k").work())
        await begun.wait()
        closing = asyncio.ensure_future(runtime.aclose())
        await turns()
        go.set()
        assert await working == 1
        await closing

    async def test_a_call_that_does_not_end_is_told_that_the_house_closes(self, store):
        begun = asyncio.Event()

        class Stuck(Entity):
            async def hang(self):
                self.state.set("n", 1)
                begun.set()
                await asyncio.Event().wait()

            @query
            async def read(self):
                return self.state.get("n")

        async with Runtime(store, grace=0):
            hanging = asyncio.ensure_future(Stuck("k").hang())
            await begun.wait()
        with pytest.raises(RuntimeClosedError):
            await hanging
        async with Runtime(store):
            assert await Stuck("k").read() is None

    async def test_idle_entities_leave_memory(self, store, counter):
        clock = ManualClock()
        async with Runtime(store, clock=clock, park_after=5) as runtime:
            keeper = runtime._bus.entities
            await asyncio.gather(*(counter(f"k{n}").add() for n in range(20)))
            await until(lambda: len(keeper._idle) == 20)
            clock.advance(3)
            await counter("k7").add()
            await until(lambda: "$entity/Counter/k7" in keeper._idle)
            clock.advance(3)
            assert list(keeper.actors) == ["$entity/Counter/k7"]
            clock.advance(5)
            assert not keeper.actors
            assert clock.next_due() is None
            assert await counter("k7").total() == 2

    async def test_another_writer_of_the_stream_makes_the_call_decide_again(self, store, counter):
        from agnt5.events.codec import encode_fact
        from agnt5.events.entity.facts import EntityCallCompleted
        from agnt5.events.log import Append, Chain

        async with Runtime(store) as runtime:
            await counter("k").add(1)
            foreign = EntityCallCompleted(method="add", changes={"total": 41})
            done = asyncio.Event()
            runtime._bus.journal.append(
                Append(
                    "$entity/Counter/k",
                    1,
                    [encode_fact(foreign, 0, "foreign")],
                    (),
                    Chain(),
                    lambda _: done.set(),
                )
            )
            await done.wait()
            assert await counter("k").add(1) == 42


class TestState:
    async def test_a_dataclass(self, store):
        class Cart(Entity[Basket]):
            async def put(self, line: str, cents: int) -> int:
                self.state.lines.append(line)
                self.state.total += cents
                return self.state.size

            async def empty(self):
                self.state.clear()

            async def wrong(self):
                self.state.colour = "red"

            @query
            async def show(self):
                return self.state.to_dict()

        async with Runtime(store) as runtime:
            assert await Cart("u").put("tea", 300) == 1
            assert await Cart("u").put("milk", 90) == 2
            assert await Cart("u").show() == {"lines": ["tea", "milk"], "total": 390}
            row = runtime._log.read("$entity/Cart/u")[-1]
            assert b"milk" in row.state
            with pytest.raises(ExecutionError, match="Basket has no field 'colour'"):
                await Cart("u").wrong()
            await Cart("u").empty()
        async with Runtime(store):
            assert await Cart("u").show() == {"lines": [], "total": 0}

    async def test_a_pydantic_model_is_validated_before_anything_is_written(self, store):
        class Bank(Entity[Account]):
            async def pay(self, cents: int) -> int:
                self.state.cents += cents
                return self.state.get("cents")

            async def spoil(self):
                self.state.cents = "many"

            async def forget(self):
                self.state.delete("cents")

            @query
            async def owner(self):
                return self.state.owner

        async with Runtime(store):
            assert await Bank("u").pay(5) == 5
            with pytest.raises(ExecutionError, match="is no Account"):
                await Bank("u").spoil()
            assert await Bank("u").pay(1) == 6
            assert await Bank("u").owner() == "nobody"
            await Bank("u").forget()
            assert await Bank("u").pay(1) == 1

    @pytest.mark.parametrize("shape", [Aliased, Tally])
    async def test_fields_are_kept_under_their_names_however_they_are_given(self, store, shape):
        """By an alias of pydantic, or not at all by a dataclass's constructor."""

        class Sums(Entity[shape]):
            async def add(self, n: int) -> list[int]:
                self.state.total += n
                self.state.first += n
                self.state.deep += n
                return [self.state.total, self.state.first, self.state.deep]

        async with Runtime(store):
            assert await Sums("u").add(2) == [2, 2, 2]
            assert await Sums("u").add(3) == [5, 5, 5]

    async def test_a_typed_dict(self, store):
        class Pad(Entity[Note]):
            async def write(self, text: str):
                self.state.text = text

            async def wipe(self):
                self.state.delete("text")

            @query
            async def read(self):
                return self.state.text

        async with Runtime(store):
            with pytest.raises(ExecutionError, match="has no value yet"):
                await Pad("u").read()
            await Pad("u").write("hello")
            assert await Pad("u").read() == "hello"
            await Pad("u").wipe()
            with pytest.raises(ExecutionError, match="has no value yet"):
                await Pad("u").read()

    async def test_what_is_changed_in_place_is_kept(self, store):
        class Log(Entity):
            async def start(self):
                self.state.set("lines", [])

            async def add(self, line):
                self.state.get("lines").append(line)

            async def flip(self, value):
                self.state.set("flag", value)

            async def wipe(self):
                self.state.clear()

            @query
            async def read(self):
                return self.state.to_dict()

        async with Runtime(store):
            await Log("k").start()
            await Log("k").add("a")
            await Log("k").flip(1)
            await Log("k").flip(True)
            read = await Log("k").read()
            assert read == {"lines": ["a"], "flag": True}
            assert read["flag"] is True
            await Log("k").wipe()
            assert await Log("k").read() == {}

    def test_a_state_must_have_a_shape_that_we_know(self):
        with pytest.raises(ConfigurationError, match="pydantic model, a dataclass or a TypedDict"):

            class Bad(Entity[int]):
                pass


class TestWorkflows:
    async def test_a_call_is_a_step_and_is_not_made_again(self, store, counter):
        async def body(ctx):
            mine = [await counter("k").add(2), await ctx.entity("Counter", "k").add(n=3)]
            both = await asyncio.gather(counter("a").add(), counter("b").add())
            try:
                await counter("k").fail()
            except ExecutionError as error:
                mine.append(str(error))
                mine.append(repr(error.__cause__))
            return [*mine, *both, await counter("k").total()]

        live, replayed = await twice(store, body)
        assert live == replayed
        assert live[:2] == [2, 5]
        assert live[2] == "Entity method fail failed: ValueError: out of order"
        assert live[3:] == ["ValueError('out of order')", 1, 1, 5]
        async with Runtime(store):
            assert await counter("k").total() == 5

    async def test_a_direct_call_within_a_step_is_a_call_like_any_other(self, store, counter):
        @function
        async def work() -> int:
            return await counter("k").add(4)

        @workflow
        async def subject(ctx):
            return await ctx.step(work)

        assert (await run_workflow(store, "subject")).output == 4

    async def test_it_refuses_arguments_that_do_not_fit(self, store, counter):
        @workflow
        async def subject(ctx):
            await counter("k").add(1, 2, 3)

        response = await run_workflow(store, "subject")
        assert "Counter.add" in str(response.error)


class TestClients:
    async def test_a_call_is_answered_with_a_response(self, store, counter):
        async with Runtime(store) as runtime:
            remote = AsyncClient(runtime=runtime).entity("Counter", "k")
            response = await remote.add(n=2)
            assert response.is_success
            assert response.output == 2
            assert response.component == "Counter.add"
            failed = await remote.fail()
            assert failed.is_error
            assert "out of order" in str(failed.error)
            assert (await remote.total()).output == 2

    async def test_an_idempotency_key_is_applied_once_for_ever(self, store, counter):
        async with Runtime(store) as runtime:
            remote = AsyncClient(runtime=runtime).entity("Counter", "k")
            same = [await remote.add(n=2, idempotency_key="a@1") for _ in range(3)]
            assert [each.output for each in same] == [2, 2, 2]
            assert {each.run_id for each in same} == {"a@1"}
            both = await asyncio.gather(
                remote.add(n=1, idempotency_key="b"), remote.add(n=1, idempotency_key="b")
            )
            assert [each.output for each in both] == [3, 3]
            with pytest.raises(InvalidInputError, match="used before .* for method 'add'"):
                await remote.add_twice(n=2, idempotency_key="b")
        async with Runtime(store) as runtime:
            remote = AsyncClient(runtime=runtime).entity("Counter", "k")
            assert (await remote.add(n=2, idempotency_key="a@1")).output == 2
            assert (await remote.total()).output == 3

    async def test_a_failed_call_may_be_tried_again_with_its_key(self, store):
        broken = [True]

        class Shop(Entity):
            async def sell(self):
                if broken:
                    raise ValueError("closed")
                return "sold"

        async with Runtime(store) as runtime:
            remote = AsyncClient(runtime=runtime).entity("Shop", "k")
            assert (await remote.sell(idempotency_key="a")).is_error
            broken.clear()
            assert (await remote.sell(idempotency_key="a")).output == "sold"

    async def test_bad_input_is_refused_and_nothing_is_written(self, store, counter):
        async with Runtime(store) as runtime:
            client = AsyncClient(runtime=runtime)
            before = await written(runtime)
            with pytest.raises(UnknownComponentError, match="'Counter'"):
                client.entity("Countre", "k")
            for key in ("", " ", "a\nb", 7, "x" * 513):
                with pytest.raises(InvalidInputError, match="key of an entity"):
                    client.entity("Counter", key)
            remote = client.entity("Counter", "k")
            with pytest.raises(UnknownComponentError, match="add, add_twice"):
                await remote.substract()
            with pytest.raises(InvalidInputError, match="by name"):
                await remote.add(2)
            with pytest.raises(InvalidInputError, match="'m' is unknown"):
                await remote.add(m=2)
            with pytest.raises(InvalidInputError, match="n: "):
                await remote.add(n="two")
            with pytest.raises(InvalidInputError, match="idempotency_key"):
                await remote.add(n=2, idempotency_key="")
            assert await written(runtime) == before

    def test_a_blocking_client(self, file_store, counter):
        client = Client(store=file_store)
        assert client.entity("Counter", "k").add(n=2).output == 2
        assert client.entity("Counter", "k").add().output == 3

        async def elsewhere():
            return await counter("k").total()

        assert asyncio.run(elsewhere()) == 3

    async def test_the_index_of_calls_is_rebuilt_from_the_log(self, file_store, counter):
        async with Runtime(file_store) as runtime:
            remote = AsyncClient(runtime=runtime).entity("Counter", "k")
            for n in range(70):
                await remote.add(n=n, idempotency_key=f"call-{n}")
            binding = runtime._log.key_binding("$entity/Counter/k\ncall-65")
        assert rebuild_index(file_store) == 0
        async with Runtime(file_store) as runtime:
            assert runtime._log.key_binding("$entity/Counter/k\ncall-65") == binding
            remote = AsyncClient(runtime=runtime).entity("Counter", "k")
            assert (await remote.add(n=65, idempotency_key="call-65")).output == sum(range(66))
            assert (await remote.total()).output == sum(range(70))


class TestForms:
    async def test_functions_instead_of_a_class(self, store):
        stock = entity("Stock")

        @stock.write
        async def receive(ctx, n: int) -> int:
            ctx.set("n", await ctx.get("n", 0) + n)
            ctx.delete("draft")
            return await ctx.get("n")

        @stock.shared
        async def level(ctx) -> int:
            return await ctx.get("n", 0)

        async def body(ctx):
            return [await ctx.entity("Stock", "tea").receive(3), await stock("tea").level()]

        assert await twice(store, body) == ([3, 3], [3, 3])
        async with Runtime(store) as runtime:
            response = await AsyncClient(runtime=runtime).entity("Stock", "tea").receive(n=1)
            assert response.output == 4

    async def test_bad_definitions(self):
        with pytest.raises(ConfigurationError, match="identifier"):
            entity("a/b")
        with pytest.raises(ConfigurationError, match="async def"):
            entity("Fine").write(lambda ctx: 0)
        with pytest.raises(ConfigurationError, match="@query marks"):

            class Wrong(Entity):
                @query
                def total(self):
                    return 0

        with pytest.raises(ValueError, match="already registered"):
            entity("Fine2") and type("Fine2", (Entity,), {"__module__": "other"})
        assert "Fine2" in EntityRegistry.list_names()

    async def test_without_a_runtime_there_must_be_a_context(self, counter, monkeypatch):
        monkeypatch.setattr("agnt5.entity_desk._open", [])
        with pytest.raises(RuntimeError, match="state adapter"):
            await counter("k").add()
        async with create_entity_context():
            assert await asyncio.gather(*(counter("k").add() for _ in range(3))) == [1, 2, 3]
            assert await counter("k").total() == 3
            with pytest.raises(ExecutionError, match="out of order"):
                await counter("k").fail()
            assert await counter("k").total() == 3
        with pytest.raises(RuntimeError, match="state adapter"):
            await counter("k").add()

    async def test_the_other_forms_of_a_context(self, counter):
        from agnt5.entity import _entity_state_adapter_ctx

        @with_entity_context
        async def alone():
            return await counter("k").add()

        assert [await alone(), await alone()] == [1, 1]
        adapter, token = create_entity_context()
        assert await counter("k").add() == 1
        assert adapter is _entity_state_adapter_ctx.get()
        _entity_state_adapter_ctx.reset(token)

    async def test_an_entity_knows_its_key_and_type(self, counter):
        assert (counter(key="k").key, counter("k").entity_type) == ("k", "Counter")
        with pytest.raises(InvalidInputError):
            counter("")
        assert issubclass(StateError, Exception)
