"""A schedule: everything that makes one run what it is, as plain values that can be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agnt5.payloads import decode, encode

When = Literal["before", "after", "effect", "evicted", "takeover"]


@dataclass(frozen=True, order=True)
class Crash:
    """Where a process dies, counted within its own life, from 0.

    ``before`` and ``after`` count what is appended to the log; before it is recorded, or when it
    is and nobody knows yet. ``effect`` counts effects: it has happened, and nothing else.
    ``evicted`` is an ``after`` in which the process lives on, with its memory: the run alone left.
    ``takeover`` is a ``before`` that another runtime causes, while this one goes on for a while.
    """

    number: int
    when: When = "before"

    def __str__(self) -> str:
        """As a person would say it."""
        match self.when:
            case "effect":
                return f"right after effect {self.number + 1}"
            case "evicted":
                return f"the run leaves memory after append {self.number + 1} is recorded"
            case "takeover":
                return f"another runtime takes over before append {self.number + 1} is recorded"
            case _:
                return f"{self.when} append {self.number + 1} is recorded"


@dataclass(frozen=True)
class Moment:
    """Something from outside, and how long after the start of the run it comes."""

    kind: Literal["signal", "answer", "cancel"]
    name: str
    """Of the signal, or the question."""
    value: object = None
    after_s: float = 0.0
    """Of an answer: after the question was asked."""


@dataclass(frozen=True)
class Failing:
    """A function whose first attempts fail, in every step."""

    function: str
    error: type[Exception]
    attempts: int
    after_effect: bool
    """Whether it does its work first, and then fails: a lost acknowledgement."""


@dataclass(frozen=True)
class Circumstances:
    """What does not depend on crashes; a calm run of the same circumstances is the oracle."""

    input: Mapping[str, object] = field(default_factory=dict)
    moments: tuple[Moment, ...] = ()
    failing: tuple[Failing, ...] = ()
    seed: int = 0
    """Of what comes late or twice; 0 is calm."""


@dataclass(frozen=True)
class Schedule:
    """One run with its crashes, one for each life."""

    circumstances: Circumstances = field(default_factory=Circumstances)
    crashes: tuple[Crash, ...] = ()


class _KeptCrash(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int = Field(ge=0, le=100_000)
    when: When


class _KeptMoment(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["signal", "answer", "cancel"]
    name: str
    value: JsonValue = None
    after_s: float = Field(ge=0, le=1e9)


class _KeptFailing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    function: str
    error: str
    attempts: int = Field(ge=0, le=1000)
    after_effect: bool


class KeptSchedule(BaseModel):
    """A schedule as a line of a file. Values are spelt as the log spells them."""

    model_config = ConfigDict(extra="forbid")
    workflow: str
    input: JsonValue = None
    moments: list[_KeptMoment] = Field(default=[], max_length=1000)
    failing: list[_KeptFailing] = Field(default=[], max_length=1000)
    seed: int = 0
    crashes: list[_KeptCrash] = Field(default=[], max_length=100)

    @classmethod
    def of(cls, workflow: str, schedule: Schedule) -> KeptSchedule:
        """To be written down.

        Raises:
            PayloadError: When an input cannot be recorded.
        """
        around = schedule.circumstances
        return cls(
            workflow=workflow,
            input=encode(dict(around.input), where="the input"),
            moments=[
                _KeptMoment(kind=m.kind, name=m.name, value=encode(m.value), after_s=m.after_s)
                for m in around.moments
            ],
            failing=[
                _KeptFailing(
                    function=each.function,
                    error=each.error.__name__,
                    attempts=each.attempts,
                    after_effect=each.after_effect,
                )
                for each in around.failing
            ],
            seed=around.seed,
            crashes=[_KeptCrash(number=c.number, when=c.when) for c in schedule.crashes],
        )

    def schedule(self, errors: Mapping[tuple[str, str], type[Exception]]) -> Schedule | None:
        """To be played again; None when the test no longer declares a failure that it needs.

        Args:
            errors: By function and name, those that the test declares.

        Raises:
            PayloadError: When a value cannot be rebuilt.
        """
        failing: list[Failing] = []
        for each in self.failing:
            error = errors.get((each.function, each.error))
            if error is None:
                return None
            failing.append(Failing(each.function, error, each.attempts, each.after_effect))
        given = decode(self.input, where="the input of a kept schedule")
        moments = tuple(Moment(m.kind, m.name, decode(m.value), m.after_s) for m in self.moments)
        around = Circumstances(
            given if isinstance(given, dict) else {}, moments, tuple(failing), self.seed
        )
        return Schedule(around, tuple(Crash(each.number, each.when) for each in self.crashes))
