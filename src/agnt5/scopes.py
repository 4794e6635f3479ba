"""State in a workflow: of the run, of its session, of its user, and of entities."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, cast

from pydantic import JsonValue

from agnt5.actors.branch import StepFuture
from agnt5.actors.entity import Change, EntityCall
from agnt5.actors.ports import AttemptInfo, FunctionWork, PlainHandler
from agnt5.actors.script import Script
from agnt5.body_context import BodyContext
from agnt5.calls import line_of
from agnt5.entity_desk import desk
from agnt5.entity_methods import EntityRegistry
from agnt5.events.entity.state import EntityState
from agnt5.events.keys import SCOPE, operation_key
from agnt5.events.run import commands as c
from agnt5.exceptions import InvalidInputError, StateConflictError
from agnt5.payloads import decode, encode
from agnt5.run_state import BodyState, checked_name

Seen = dict[str, Any]
"""What an operation answers with, as a step records it."""


class Durable:
    """What a method of a shared state returns: it has called already, and may be awaited."""

    __slots__ = ("_wait",)

    is_durable = True
    """For ``ctx.parallel`` and its kin: this is on record by itself, and is no step to be made."""

    def __init__(self, wait: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, Any, Any]:
        """Wait for what it gives."""
        return self._wait().__await__()


async def _then(future: StepFuture, then: Callable[[Seen], Any]) -> Any:
    return then(await future)


class Operation(PlainHandler):
    """One kind of operation on a scope, as an executor calls it. Arguments: the id, and the act."""

    def __init__(self, scope: str, method: str, *, is_query: bool) -> None:
        self.entity_type = f"${scope}"
        self.method = method
        self.is_query = is_query
        self.label = f"{scope}.{method}"
        self.name = f"state {self.label}"

    def call(
        self,
        info: AttemptInfo,
        args: tuple[object, ...],
        kwargs: dict[str, object],  # noqa: ARG002 - the port's shape
    ) -> Awaitable[object]:
        """Call it as an attempt of a step: the same step is applied once."""
        scope_id, act = cast("tuple[str, Callable[[EntityState], Change]]", args)
        return self._run(info, scope_id, act)

    async def _run(
        self, info: AttemptInfo, scope_id: str, act: Callable[[EntityState], Change]
    ) -> Seen:
        async def acting(state: EntityState) -> Change:
            return act(state)

        call_id = None if self.is_query else info.idempotency_key
        call = EntityCall(self.method, acting, self.is_query, call_id, info.run_id)
        answer = await desk().call(self.entity_type, scope_id, call)
        seen = cast("Seen", answer.value)
        return {**seen, "version": answer.version} if seen.get("ok") else seen


_METHODS = {
    "get": True,
    "keys": True,
    "set": False,
    "delete": False,
    "clear": False,
    "load": True,
    "save": False,
}
"""Whether each only reads."""

_OPERATIONS = {
    (scope, method): Operation(scope, method, is_query=is_query)
    for scope in ("session", "user")
    for method, is_query in _METHODS.items()
}


def _read(name: str) -> Callable[[EntityState], Change]:
    return lambda state: Change(_seen(state, name), None)


def _seen(state: EntityState, name: str) -> Seen:
    found = name in state.values
    value = decode(state.values[name], where=f"state {name!r}") if found else None
    return {"found": found, "value": value, "version": state.versions.get(name, 0)}


def _write(
    name: str, value: JsonValue, expected: int | None, *, delete: bool = False
) -> Callable[[EntityState], Change]:
    def act(state: EntityState) -> Change:
        if expected is not None and state.versions.get(name, 0) != expected:
            return Change(_seen(state, name), None, record=False)
        done = {"ok": True}
        if delete:
            return Change(done, {"ok": True}, deleted=[name] if name in state.values else [])
        return Change(done, {"ok": True}, {name: value})

    return act


def _keys(state: EntityState) -> Change:
    return Change({"keys": sorted(state.values)}, None)


def _clear(state: EntityState) -> Change:
    return Change({"ok": True}, {"ok": True}, deleted=sorted(state.values))


class SharedState:
    """The state of a session or a user: it outlives the run, and other runs use it as well.

    Every read is a recorded step, every write a step that is applied once. Writing what this run
    has read before succeeds only when nobody has changed it since.
    """

    def __init__(self, script: Script, scope: str, scope_id: str) -> None:
        self._script = script
        self._scope = scope
        self._id = scope_id
        self._versions: dict[tuple[str, str], int] = {}
        """By branch and name: the version of the value that was read there last, oldest first."""

    def get(self, key: str, default: Any = None) -> Awaitable[Any]:
        """The value of that name, or the default."""
        name, path = checked_name(key), self._script.place().path
        future = self._request("get", name, _read(name), line_of(2))

        self._when_done(future, lambda seen: self._remember(path, name, seen["version"]))

        def then(seen: Seen) -> Any:
            return seen["value"] if seen["found"] else default

        return Durable(lambda: _then(future, then))

    def keys(self) -> Awaitable[list[str]]:
        """The names that have a value, sorted."""
        future = self._request("keys", "", _keys, line_of(2))
        return Durable(lambda: _then(future, lambda seen: list(seen["keys"])))

    def set(self, key: str, value: Any) -> Awaitable[None]:
        """Set a value.

        Raises:
            StateConflictError: When awaited: this run has read the value before, and somebody
                else has changed it since. Nothing was written; :meth:`update` tries again.
            PayloadError: When the value cannot be recorded.
        """
        name = checked_name(key)
        encoded = encode(value, where=f"{self._scope} state {name!r}")
        self._script.check_size(encoded, f"{self._scope} state {name!r}")
        return self._conditional("set", name, encoded, line_of(2))

    def delete(self, key: str) -> Awaitable[None]:
        """Delete a value. Raises as :meth:`set` does."""
        return self._conditional("delete", checked_name(key), None, line_of(2))

    def clear(self) -> Awaitable[None]:
        """Delete every value, whatever it is now."""
        future = self._request("clear", "", _clear, line_of(2))
        return Durable(lambda: _then(future, lambda _: None))

    def update(self, key: str, fn: Callable[[Any], Any], default: Any = None) -> Awaitable[Any]:
        """Change a value: read it, give it to ``fn``, write what that returns; again on conflict.

        Args:
            key: The name.
            fn: From the present value to the new one. It runs in the body, perhaps several
                times: it must have no effects, and give the same for the same value.
            default: The present value when there is none. ``fn`` gets this very object: return a
                new one.

        Returns:
            An awaitable of the value that was written.

        Raises:
            InvalidInputError: When the name is no text, or ``fn`` is no function.
            PayloadError: When awaited: the new value cannot be recorded.
        """
        if not callable(fn):
            msg = f"update of {key!r} takes a function of the present value, not {fn!r}"
            raise InvalidInputError(msg)
        name, branch = checked_name(key), self._script.place()
        label, line = f"{self._scope}.update:{name}", line_of(2)
        place = f"{label}#{branch.occurrence(label)}"
        first = operation_key(branch.path, f"{place}.get", 0)
        reading = self._at(first, "get", name, _read(name), line)
        change = (fn, default)
        begun: list[bool] = []

        def wait() -> Coroutine[Any, Any, Any]:
            if begun:
                raise RuntimeError(f"{label}: an update can be awaited only once; keep its result")
            begun.append(True)
            return self._updating(reading, branch.path, name, place, change, line)

        return Durable(wait)

    async def _updating(
        self,
        reading: StepFuture,
        path: str,
        name: str,
        place: str,
        change: tuple[Callable[[Any], Any], Any],
        line: str,
    ) -> Any:
        fn, default = change
        seen, n = await reading, 0
        while True:
            value = fn(seen["value"] if seen["found"] else default)
            encoded = encode(value, where=f"{self._scope} state {name!r}")
            self._script.check_size(encoded, f"{self._scope} state {name!r}")
            key = operation_key(path, f"{place}.set", n)
            act = _write(name, encoded, seen["version"])
            seen = await self._at(key, "set", name, act, line)
            if seen.get("ok"):
                self._remember(path, name, seen["version"])
                return value
            n += 1

    def _conditional(self, method: str, name: str, value: JsonValue, line: str) -> Awaitable[None]:
        path = self._script.place().path
        expected = self._read_here(path, name)
        delete = method == "delete"
        act = _write(name, value, expected, delete=delete)
        future = self._request(method, name, act, line)

        def remember(seen: Seen) -> None:
            if expected is not None and seen.get("ok"):
                self._remember(path, name, 0 if delete else seen["version"])

        def then(seen: Seen) -> None:
            if not seen.get("ok"):
                raise StateConflictError(self._scope, self._id, name, expected or 0)

        self._when_done(future, remember)
        return Durable(lambda: _then(future, then))

    def _request(
        self, method: str, name: str, act: Callable[[EntityState], Change], line: str
    ) -> StepFuture:
        branch = self._script.place()
        label = f"{self._scope}.{method}" + (f":{name}" if name else "")
        key = operation_key(branch.path, label, branch.occurrence(label))
        return self._at(key, method, name, act, line)

    def _at(
        self, key: str, method: str, name: str, act: Callable[[EntityState], Change], line: str
    ) -> StepFuture:
        operation = _OPERATIONS[self._scope, method]
        recorded: list[JsonValue] = [self._id, name]
        work = FunctionWork(operation, (self._id, act), {})

        def command() -> c.RequestStep:
            return c.RequestStep(
                key, operation.label, operation.name, recorded, None, "retry", None, line
            )

        return self._script.request(key, command, work, line=line)

    @staticmethod
    def _when_done(future: StepFuture, then: Callable[[Seen], None]) -> None:
        """Before the body goes on, and whether or not it awaits the call."""

        def done(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is None:
                then(future.result())

        future.add_done_callback(done)

    def _remember(self, path: str, name: str, version: int) -> None:
        self._versions.pop((path, name), None)
        self._versions[path, name] = version

    def _read_here(self, path: str, name: str) -> int | None:
        """The version that this branch has read last, if any.

        Itself, or in a branch that it comes from or that comes from it. What a concurrent branch
        has read is nothing that it knows; what a step has read is the step's own.
        """
        for (other, known), version in reversed(self._versions.items()):
            if known == name and (_is_within(path, other) or _is_child(other, path)):
                return version
        return None


def _is_within(path: str, other: str) -> bool:
    return path == other or not other or path.startswith((f"{other}/", f"{other}:"))


def _is_child(path: str, other: str) -> bool:
    return path.startswith(f"{other}/") and SCOPE not in path[len(other) :]


class Scope:
    """A session or a user: its ``id``, and its ``state``."""

    def __init__(self, script: Script, kind: str, scope_id: str) -> None:
        self.id = scope_id
        self.state = SharedState(script, kind, scope_id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id!r}>"


class Scopes(BodyContext):
    """State: of the run, of its session, of its user, of entities."""

    @property
    def state(self) -> BodyState:
        """The state of this run: empty when it starts, gone when it ends."""
        return BodyState(self.script)

    @property
    def session(self) -> Scope:
        """The session of this run; without a session id, a private one."""
        return self._scope("session", self.session_id)

    @property
    def user(self) -> Scope | None:
        """The user of this run; None when it was started without a user id."""
        return self._scope("user", self.info.user_id) if self.info.user_id else None

    def _scope(self, kind: str, scope_id: str) -> Scope:
        # Of the run and not of this context: a workflow inside this one has read what this one has.
        scopes = self.script.values.scopes
        found = scopes.get(kind)
        if not isinstance(found, Scope):
            found = scopes[kind] = Scope(self.script, kind, scope_id)
        return found

    def entity(self, entity_type: str, key: str) -> Any:
        """An entity by the name of its type; its methods are steps of this run.

        Args:
            entity_type: The name of the entity's class.
            key: Which one of the type.

        Raises:
            UnknownComponentError: When there is no such type.
            InvalidInputError: When the key is not one.
        """
        return EntityRegistry.find(entity_type)(key)
