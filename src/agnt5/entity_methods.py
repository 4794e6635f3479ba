"""The methods of entities: registered with their type, called at once or as a workflow's step."""

from __future__ import annotations

import copy
import difflib
import functools
import inspect
import types
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, cast

from agnt5.actors.branch import CURRENT
from agnt5.actors.entity import Answer, Change, EntityCall
from agnt5.actors.ports import AttemptInfo, FunctionWork, PlainHandler
from agnt5.actors.script import Script
from agnt5.calls import line_of, recorded_input
from agnt5.entity_desk import Desk, desk
from agnt5.entity_state import working_state
from agnt5.events.entity.state import EntityState
from agnt5.events.entity.streams import entity_stream
from agnt5.events.keys import operation_key
from agnt5.events.run import commands as c
from agnt5.exceptions import (
    ConfigurationError,
    InvalidInputError,
    StateError,
    UnknownComponentError,
)
from agnt5.function_context import Context
from agnt5.payloads import encode
from agnt5.signatures import Signature

_LONGEST_KEY = 512

_callers: ContextVar[tuple[str, ...]] = ContextVar("agnt5_entity_callers", default=())
"""The entities whose methods are running around this one: a circle would wait for ever."""


def checked_key(key: str, what: str = "key of an entity") -> str:
    """The key, if it is one.

    Raises:
        InvalidInputError: When it is no printable text, empty, or too long.
    """
    if not isinstance(key, str) or not key.strip() or not key.isprintable():
        msg = f"the {what} must be a printable text that is not empty, not {key!r}"
        raise InvalidInputError(msg)
    if len(key) > _LONGEST_KEY:
        msg = f"the {what} may have at most {_LONGEST_KEY} characters, not {len(key)}"
        raise InvalidInputError(msg)
    return key


class EntityRegistry:
    """The entity types of this process, by name."""

    _types: ClassVar[dict[str, type[Any]]] = {}

    @classmethod
    def register(cls, entity_type: type[Any]) -> None:
        """Add a type. The same class of the same module, defined again, takes its place.

        Raises:
            ValueError: When the name is taken by another one.
        """
        name = entity_type.__name__
        known = cls._types.get(name)
        mine = (entity_type.__module__, entity_type.__qualname__)
        if known is not None and (known.__module__, known.__qualname__) != mine:
            msg = (
                f"entity name collision: {name!r} is already registered"
                f" ({known.__module__}.{known.__qualname__}); give one of them another name"
            )
            raise ValueError(msg)
        cls._types[name] = entity_type

    @classmethod
    def get(cls, name: str) -> type[Any] | None:
        """The type of that name, or None."""
        return cls._types.get(name)

    @classmethod
    def all(cls) -> dict[str, type[Any]]:
        """Every type, by name."""
        return dict(cls._types)

    @classmethod
    def list_names(cls) -> list[str]:
        """Every name, sorted."""
        return sorted(cls._types)

    @classmethod
    def clear(cls) -> None:
        """Forget every type. For tests."""
        cls._types.clear()

    @classmethod
    def find(cls, name: str) -> type[Any]:
        """The type of that name.

        Raises:
            UnknownComponentError: When there is none; says which are near.
        """
        found = cls._types.get(name) if isinstance(name, str) else None
        if found is None:
            near = difflib.get_close_matches(str(name), cls._types, n=3, cutoff=0.5)
            known = near or cls.list_names()[:10]
            hint = f"known: {', '.join(map(repr, known))}" if known else "no entity is registered"
            raise UnknownComponentError(f"there is no entity type {name!r} here; {hint}")
        return found


class EntityMethod(PlainHandler):
    """One public async method: its code, and how a workflow's step calls it."""

    def __init__(self, function: Callable[..., Any], owner: str) -> None:
        self.function = function
        self.method = function.__name__
        self.is_query = bool(getattr(function, "_agnt5_query", False))
        self.label = f"{owner}.{self.method}"
        self.name = f"entity {self.label}"

    @functools.cached_property
    def signature(self) -> Signature:
        """Without ``self``."""
        return Signature(types.MethodType(self.function, self), Context)

    def call(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Awaitable[object]:
        """Call it as an attempt of a step: the same step is applied once."""
        instance, *rest = args
        return self.direct(instance, tuple(rest), kwargs, info.idempotency_key, info.run_id)

    async def direct(
        self,
        instance: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        call_id: str | None = None,
        caller: str | None = None,
    ) -> Any:
        """Call it where the caller's entities live."""
        answer = await self.ask(desk(), instance, args, kwargs, call_id, caller)
        return answer.value

    async def ask(
        self,
        at: Desk,
        instance: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        call_id: str | None = None,
        caller: str | None = None,
    ) -> Answer:
        """Call it at a desk."""
        stream = entity_stream(instance.entity_type, instance.key)
        callers = _callers.get()
        if stream in callers and not self.is_query:
            circle = " -> ".join((*callers, stream))
            msg = f"{self.label}: entities call one another in a circle: {circle}"
            raise StateError(msg)

        async def act(state: EntityState) -> Change:
            token = _callers.set((*callers, stream))
            try:
                return await self._run(instance, state, args, kwargs)
            finally:
                _callers.reset(token)

        call = EntityCall(self.method, act, self.is_query, call_id, caller)
        return await at.call(instance.entity_type, instance.key, call)

    async def _run(
        self,
        instance: Any,
        state: EntityState,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Change:
        where = f"{instance.entity_type}({instance.key!r}).{self.method}"
        working = working_state(
            instance._agnt5_model,  # noqa: SLF001 - the class below, in two halves
            state.values,
            where,
            read_only=self.is_query,
        )
        # Each call has an instance of its own: queries run beside writes.
        one = copy.copy(instance)
        one._agnt5_state = working  # noqa: SLF001
        try:
            value = await self.function(one, *args, **kwargs)
        finally:
            one._agnt5_state = None  # noqa: SLF001
        output = encode(value, where=f"result of {where}")
        changes, deleted = ({}, []) if self.is_query else working.changes()
        return Change(value, output, changes, deleted)


def add_method(cls: type[Any], name: str, member: Any) -> None:
    """Make an async method of an entity's class a call; leave whatever else it is alone."""
    if not inspect.iscoroutinefunction(member):
        if getattr(member, "_agnt5_query", False):
            msg = f"{cls.__name__}.{name}: @query marks 'async def' methods"
            raise ConfigurationError(msg)
        return
    method = EntityMethod(member, cls.__name__)
    cls._agnt5_methods[name] = method

    @functools.wraps(member)
    def calling(self: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        if self._agnt5_state is not None:
            # One method calls another: it is part of the same call.
            return cast("Awaitable[Any]", member(self, *args, **kwargs))
        method.signature.check_call(method.label, args, kwargs)
        branch = CURRENT.get()
        if branch is None:
            return method.direct(self, args, kwargs)
        return _in_body(cast("Script", branch.script), method, self, args, kwargs)

    setattr(cls, name, calling)


def _in_body(
    script: Script,
    method: EntityMethod,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Awaitable[Any]:
    """In the body of a workflow: a recorded step."""
    branch, line = script.place(), line_of(3)
    key = operation_key(branch.path, method.label, branch.occurrence(method.label))

    def command() -> c.RequestStep:
        recorded = recorded_input((instance.key, *args), kwargs)
        script.check_size(recorded, f"arguments of {method.label!r} ({key!r})")
        return c.RequestStep(key, method.label, method.name, recorded, None, "retry", None, line)

    work = FunctionWork(method, (instance, *args), kwargs)
    return script.request(key, command, work, line=line)


def method_of(entity_type: str, name: str) -> EntityMethod:
    """The method of that name.

    Raises:
        UnknownComponentError: When there is no such type, or it has no such method.
    """
    methods: Mapping[str, EntityMethod] = EntityRegistry.find(entity_type)._agnt5_methods  # noqa: SLF001
    found = methods.get(name)
    if found is None:
        known = ", ".join(sorted(methods)) or "none"
        msg = f"entity {entity_type!r} has no async method {name!r}; it has: {known}"
        raise UnknownComponentError(msg)
    return found
