"""``Entity``: keyed state with methods, one call that writes at a time, kept beyond every run."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, cast, get_args, get_origin

from agnt5.entity_desk import DESK, EntityContext, EntityStateAdapter
from agnt5.entity_methods import EntityMethod, EntityRegistry, add_method, checked_key
from agnt5.entity_state import EntityValues, StateModel
from agnt5.exceptions import ConfigurationError

S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])

_entity_state_adapter_ctx = DESK
"""The context variable of :func:`create_entity_context`, under the name that the SDK gave it."""


class Entity(Generic[S]):
    """State under a key, and the methods that change it.

    Calls of one key run one after the other, those of different keys at the same time; methods
    marked :func:`query` only read and run beside the others. What a method changes is recorded
    when it returns, and not at all when it raises. From a workflow, a call is a step: recorded,
    and applied once.

    ``class Cart(Entity[CartState])`` types the state: a pydantic model, a dataclass or a TypedDict.

    Args:
        key: Which entity of the type; a printable text.

    Raises:
        InvalidInputError: When the key is not one.

    >>> import asyncio
    >>> class Counter(Entity):
    ...     async def add(self, n: int = 1) -> int:
    ...         total = self.state.get("total", 0) + n
    ...         self.state.set("total", total)
    ...         return total
    >>> async def main() -> int:
    ...     async with create_entity_context():
    ...         await Counter("visits").add(2)
    ...         return await Counter("visits").add()
    >>> asyncio.run(main())
    3
    """

    _agnt5_model: ClassVar[StateModel | None] = None
    _agnt5_methods: ClassVar[dict[str, EntityMethod]] = {}
    _agnt5_state: EntityValues | None = None

    def __init__(self, key: str) -> None:
        self._key = checked_key(key)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the type and make its public async methods calls."""
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is Entity and not isinstance(get_args(base)[0], TypeVar):
                cls._agnt5_model = StateModel(get_args(base)[0])
        cls._agnt5_methods = dict(cls._agnt5_methods)
        for name, member in list(vars(cls).items()):
            if not name.startswith("_"):
                add_method(cls, name, member)
        EntityRegistry.register(cls)

    @property
    def key(self) -> str:
        """Which entity of its type this is."""
        return self._key

    @property
    def entity_type(self) -> str:
        """The name of its class."""
        return type(self).__name__

    @property
    def state(self) -> Any:
        """What is kept. Only within a method.

        Raises:
            RuntimeError: Outside of a method.
        """
        if self._agnt5_state is None:
            msg = (
                f"the state of {self.entity_type}({self.key!r}) is there within its async methods"
                " only: one call at a time works on it"
            )
            raise RuntimeError(msg)
        return self._agnt5_state

    def __repr__(self) -> str:
        return f"{self.entity_type}({self.key!r})"


def query(method: F) -> F:
    """Mark a method of an :class:`Entity` that only reads: it runs beside the others.

    Args:
        method: An ``async def`` in the class. It sees what is on disk when it begins.

    >>> class Reader(Entity):
    ...     @query
    ...     async def total(self) -> int:
    ...         return self.state.get("total", 0)
    >>> EntityRegistry.get("Reader") is Reader
    True

    Raises:
        ConfigurationError: When it is no method.
    """
    if not callable(method):
        raise ConfigurationError(f"@query marks a method of an Entity, not {method!r}")
    cast("Any", method)._agnt5_query = True  # noqa: SLF001 - the mark is ours
    return method


class EntityCalls:
    """What a function of :func:`entity` is given: the entity that it was called on."""

    def __init__(self, instance: Entity[Any]) -> None:
        self._instance = instance

    @property
    def key(self) -> str:
        """Which entity of its type this is."""
        return self._instance.key

    @property
    def state(self) -> Any:
        """The same as ``self.state`` of an :class:`Entity`."""
        return self._instance.state

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of that name, or the default."""
        return self.state.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Set a value."""
        self.state.set(key, value)

    def delete(self, key: str) -> None:
        """Delete a value."""
        self.state.delete(key)

    def clear(self) -> None:
        """Delete every value."""
        self.state.clear()


class EntityDefinition:
    """An entity type made of functions. Calling it with a key gives an entity."""

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            msg = f"the name of an entity type must be an identifier, not {name!r}"
            raise ConfigurationError(msg)
        made = types.new_class(name, (Entity,), {}, lambda body: body.update(__module__="entity"))
        self.entity_class: type[Entity[Any]] = made

    def write(self, function: F) -> F:
        """Add a function ``async def f(ctx, ...)`` that may change the state; one at a time."""
        return self._add(function, is_query=False)

    def shared(self, function: F) -> F:
        """Add a function ``async def f(ctx, ...)`` that only reads; it runs beside the others."""
        return self._add(function, is_query=True)

    def _add(self, function: F, *, is_query: bool) -> F:
        cls = self.entity_class
        if not inspect.iscoroutinefunction(function):
            msg = f"{cls.__name__}: its functions are 'async def f(ctx, ...)', not {function!r}"
            raise ConfigurationError(msg)
        signature = inspect.signature(function)

        @functools.wraps(function)
        async def method(self: Entity[Any], *args: Any, **kwargs: Any) -> Any:
            return await function(EntityCalls(self), *args, **kwargs)

        cast("Any", method).__signature__ = signature
        add_method(cls, function.__name__, query(method) if is_query else method)
        return function

    def __call__(self, key: str) -> Any:
        """The entity of this key."""
        return self.entity_class(key)


def entity(name: str) -> EntityDefinition:
    """Define an entity type by functions instead of a class.

    Args:
        name: The name of the type.

    Raises:
        ConfigurationError: When it is no identifier.
        ValueError: When it is taken.

    >>> stock = entity("Stock")
    >>> @stock.write
    ... async def receive(ctx, n: int) -> int:
    ...     ctx.set("n", await ctx.get("n", 0) + n)
    ...     return await ctx.get("n")
    >>> stock("apples")
    Stock('apples')
    """
    return EntityDefinition(name)


def create_entity_context() -> EntityContext:
    """Entities that live in memory, without a runtime, within an ``async with`` of the result."""
    return EntityContext()


def with_entity_context(function: F) -> F:
    """Run an async function, such as a test, with entities in memory of its own."""

    @functools.wraps(function)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        async with create_entity_context():
            return await function(*args, **kwargs)

    return cast("F", wrapped)


__all__ = [
    "Entity",
    "EntityCalls",
    "EntityDefinition",
    "EntityRegistry",
    "EntityStateAdapter",
    "create_entity_context",
    "entity",
    "query",
    "with_entity_context",
]
