"""The pytest plugin of agnt5: the fixtures ``runtime``, ``client``, ``clock`` and ``crash``.

It imports nothing of agnt5 before a test asks for a fixture, so that it costs a project without
workflows nothing. What the fixtures do is in :mod:`agnt5.testing.plugin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from agnt5 import AsyncClient, Client
    from agnt5.testing.plugin import Clock
    from agnt5.testing.simulation import Simulation

NO_REPLAY = "agnt5_no_replay"
"""The mark of a test whose runs are not replayed when it has ended."""


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the plugin's mark."""
    said = f"{NO_REPLAY}: do not replay the runs of this test when it is over"
    config.addinivalue_line("markers", said)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Replay the runs of a test that has passed, while what it has patched is still patched."""
    yield
    simulated = getattr(item, "funcargs", {}).get("runtime")
    # A project may have a fixture of that name which is none of ours.
    is_ours = type(simulated).__module__ == "agnt5.testing.simulation"
    if is_ours and item.get_closest_marker(NO_REPLAY) is None:
        from agnt5.testing.plugin import check_replays  # noqa: PLC0415 - see the docstring

        check_replays(simulated)


@pytest.fixture
def runtime() -> Iterator[Simulation]:
    """A simulated runtime: in memory, on virtual time.

    When the test has passed, every run that has ended is replayed once, and must end as it did.
    """
    from agnt5.testing.plugin import simulation  # noqa: PLC0415 - see the docstring

    with simulation() as simulated:
        yield simulated


@pytest.fixture
def client(request: pytest.FixtureRequest, runtime: Simulation) -> Client | AsyncClient:
    """A client of the simulated runtime; in an ``async def`` test one to be awaited."""
    from agnt5.testing.plugin import client_for  # noqa: PLC0415 - see the docstring

    return client_for(request.function, runtime)


@pytest.fixture
def clock(runtime: Simulation) -> Clock:
    """The virtual time of the simulated runtime."""
    from agnt5.testing.plugin import Clock  # noqa: PLC0415 - see the docstring

    return Clock(runtime)


@pytest.fixture
def crash() -> Iterator[Callable[..., Any]]:
    """``agnt5.testing.crash_everywhere``; what the test registers is forgotten in the end."""
    from agnt5.testing.plugin import crash_fixture  # noqa: PLC0415 - see the docstring

    yield from crash_fixture()
