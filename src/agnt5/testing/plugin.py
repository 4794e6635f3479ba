"""What the fixtures of the pytest plugin do.

The plugin itself, :mod:`agnt5_pytest`, is light: it loads this when a test asks for a fixture.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from agnt5.client import AsyncClient, Client
from agnt5.entity import EntityRegistry
from agnt5.registry import FunctionRegistry, WorkflowRegistry
from agnt5.testing.again import replay_again
from agnt5.testing.crash import crash_everywhere
from agnt5.testing.simulation import Simulation
from agnt5.tool import ToolRegistry


class Clock:
    """The virtual time of a test."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def now(self) -> datetime:
        """The virtual time, in UTC."""
        return self._simulation.now

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything that is due meanwhile."""
        self._simulation.advance(seconds)


class ReplayError(AssertionError):
    """A run of a test ended otherwise, or asked for something else, when it was replayed."""


@contextmanager
def simulation(**options: Any) -> Generator[Simulation]:
    """A simulation for one test.

    Args:
        options: As for :class:`Simulation`.
    """
    with own_registries(), Simulation(**options) as simulated:
        yield simulated


def check_replays(simulated: object) -> None:
    """Replay every run that has ended.

    Args:
        simulated: What a test has as ``runtime``. One of somebody else is left alone.

    Raises:
        ReplayError: When a replay differs.
    """
    __tracebackhide__ = True
    if not isinstance(simulated, Simulation):
        return
    for run_id in simulated.disk.log.run_ids():
        row = simulated.disk.log.run_row(run_id)
        difference = replay_again(run_id, simulated.disk.history(run_id))
        if difference is not None and row is not None:
            msg = (
                f"run {run_id} of {row.component!r} is not the same when it is replayed:"
                f" {difference}\nWhat differs from one pass of a body to the next belongs into a"
                f" step. (@pytest.mark.agnt5_no_replay turns this check off.)"
            )
            raise ReplayError(msg)


@contextmanager
def own_registries() -> Generator[None]:
    """Forget in the end what was registered meanwhile by decorators within functions.

    What a module registers stays: it is imported only once.
    """
    registries: list[Any] = [FunctionRegistry, WorkflowRegistry, ToolRegistry, EntityRegistry]
    before = [dict(each.all()) for each in registries]
    try:
        yield
    finally:
        for registry, known in zip(registries, before, strict=True):
            for name, thing in registry.all().items():
                if known.get(name) is not thing and _is_local(thing):
                    _put_back(registry, name, known.get(name))


def _is_local(thing: object) -> bool:
    made_of = [thing, *(getattr(thing, each, None) for each in ("_cls", "_function", "handler"))]
    return any("<locals>" in str(getattr(each, "__qualname__", "")) for each in made_of)


def _put_back(registry: Any, name: str, thing: object) -> None:
    for table in ("_components", "_things", "_versions"):
        things = getattr(registry, table, None)
        if things is not None:
            things.pop(name, None)
    if thing is not None:
        registry.register(thing)


def client_for(function: Callable[..., Any], simulated: Simulation) -> Client | AsyncClient:
    """The client that fits a test: with awaited methods if it is ``async def``."""
    is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
    return simulated.async_client if is_async else simulated.client


def crash_fixture() -> Iterator[Callable[..., Any]]:
    """:func:`crash_everywhere`, with registries of its own."""
    with own_registries():
        yield crash_everywhere
