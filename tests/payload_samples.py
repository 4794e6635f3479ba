"""Classes that payloads are made of in the tests; a payload's class must lie in a module."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import InitVar, dataclass, field
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum, auto
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel, field_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import PydanticCustomError

T = TypeVar("T")
called: list[str] = []


class Colour(Enum):
    RED = "r"
    BLUE = (1, 2)


class Level(IntEnum):
    LOW = 1
    HIGH = 9


class Word(StrEnum):
    YES = "yes"


class Right(Flag):
    READ = auto()
    WRITE = auto()


class Bit(IntFlag):
    ONE = 1
    FOUR = 4


class Point(NamedTuple):
    x: Any
    y: Any = 0


Pair = namedtuple("Pair", "left right")  # noqa: PYI024 - the old form must work as well


@dataclass
class Item:
    sku: Any
    price: Any = None

    class Nested(Enum):
        A = 1


@dataclass(frozen=True)
class Frozen:
    a: Any
    b: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Slotted:
    a: Any
    b: Any = 2


@dataclass
class Careful:
    """Counts how often user code runs."""

    a: Any
    scale: InitVar[int] = 1
    total: int = field(init=False)
    unset: int = field(init=False, repr=False)

    def __post_init__(self, scale: int) -> None:
        called.append("post_init")
        self.total = 10 * scale
        self.beyond = ("no", "field")

    @cached_property
    def lazy(self) -> object:
        return object()


class SubItem(Item):
    """Not decorated again, as users do."""


@dataclass
class Box(Generic[T]):
    content: T


@pydantic_dataclass
class Checked:
    n: int


class Order(BaseModel):
    id: Any
    lines: tuple[Any, ...] = ()
    note: str | None = None
    _secret: Any = PrivateAttr(default=None)


class SubOrder(Order):
    extra_field: set[int] = set()


class Open(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    a: int = 1


class Numbers(RootModel[list[Any]]):
    pass


class Page(BaseModel, Generic[T]):
    items: list[T]


class RootWithPrivate(RootModel[list[Any]]):
    _cache: Any = PrivateAttr(default=7)


class Strange(BaseModel):
    """Fails in ways of its own."""

    a: int

    @field_validator("a")
    @classmethod
    def odd(cls, value: int) -> int:
        if value == 0:
            raise PydanticCustomError("zero", "got {{{n}}}, that is zero", {"n": value})
        if value == 1:
            raise ValueError("one is bad")
        return value


class Fussy(BaseModel):
    """Its initialiser must never run on decode."""

    a: int

    def __init__(self, **data: Any) -> None:
        called.append("init")
        super().__init__(**data)


class DictData(dict):
    pass


@dataclass
class DataOverDict(dict):
    a: int = 1


class Shout(str):
    __slots__ = ()


class Plain(Exception):
    pass


class KeywordOnly(Exception):
    def __init__(self, *, order: str, code: int = 3) -> None:
        called.append("init")
        super().__init__(f"order {order} failed")
        self.order = order
        self.code = code


class Formatting(Exception):
    def __init__(self, name: str, count: int) -> None:
        super().__init__(f"{name} x {count}")
        self.name = name
        self.count = count


class NoSuper(Exception):
    """Never calls its base, so that args are those of __new__."""

    def __init__(self, a: int, b: int = 2) -> None:
        self.a = a

    def __str__(self) -> str:
        return f"a is {self.a}"


class SlotError(Exception):
    __slots__ = ("code",)

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class DiskError(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(28, "no space", path)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class HoldsHandle(Exception):
    def __init__(self, message: str, handle: object) -> None:
        super().__init__(message)
        self.handle = handle


class Stateful(Exception):
    """Its text rests on state that cannot be recorded."""

    def __init__(self, handle: object) -> None:
        super().__init__()
        self.handle = handle

    def __str__(self) -> str:
        return f"handle {self.handle is not None and type(self.__dict__['handle']).__name__}"


class MyGroup(ExceptionGroup[Exception]):
    pass
