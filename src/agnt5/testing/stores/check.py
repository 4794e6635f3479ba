"""`check_store`: the whole state machine, as one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from agnt5.testing.stores.machine import Seen, StoreMachine
from agnt5.testing.stores.port import Faults, OpenStore, StoreConformanceError
from agnt5.testing.stores.shrinking import Shrinker
from agnt5.testing.stores.trial import Ground

_STEPS = 25
_NOT_OURS = (Phase.shrink, Phase.explain)  # see the shrinker for why
# A store is as slow as its disk, and what may be done next depends on what was done.
_ALL_CHECKS = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def check_store(
    open_store: OpenStore,
    *,
    faults: Faults | None = None,
    drop: Callable[[str], None] | None = None,
    max_examples: int | None = None,
    patience_s: float = 20.0,
    shrink_s: float = 20.0,
    settings: settings | None = None,
) -> None:
    """Hold a store to the contract, with random histories; give the shortest one that breaks it.

    Args:
        open_store: Opens the store of a place, see `OpenStore`. Each history has its own place.
        faults: The trouble that the author can make. Without it, what the contract says of
            crashes and full disks is not tried.
        drop: Removes a place once its history is over, for stores that live on a server.
        max_examples: How many histories; by default as many as Hypothesis' profile says.
        patience_s: How long the store may take to settle an append, in seconds.
        shrink_s: How long to look for a shorter history once one has failed, in seconds.
        settings: Settings of Hypothesis in the place of the profile's.

    Raises:
        StoreConformanceError: The store has broken a law; the message tells the history.
    """
    ground, seen = Ground(open_store, faults or Faults(), drop, patience_s), Seen()
    try:
        run_state_machine_as_test(
            cast("type[StoreMachine]", lambda: StoreMachine(ground, seen)),
            settings=_settings(settings, max_examples),
        )
    except Exception:
        # Also if it does not happen every time: that a store fails once is enough.
        if seen.failure is None:
            raise
    if seen.failure is not None:
        short = Shrinker(ground, seen.steps, seen.failure, shrink_s).run()
        # A new one, without the notes of Hypothesis: the history says it all.
        raise StoreConformanceError(short.law, short.found, short.history) from short.__cause__


def _settings(given: settings | None, max_examples: int | None) -> settings:
    base = given or settings()
    return settings(
        base,
        max_examples=max_examples or base.max_examples,
        stateful_step_count=_STEPS,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=False,
        phases=tuple(phase for phase in base.phases if phase not in _NOT_OURS),
        suppress_health_check=_ALL_CHECKS,
    )
