"""A runtime of a simulation: the real one, on a virtual loop, without threads and schedules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

from agnt5.actors.bus import Bus
from agnt5.actors.clock import Clock
from agnt5.actors.executor import Attempt, Cancel, Failure, Result, Success
from agnt5.actors.ports import AttemptInfo, Handler
from agnt5.events.log import EventLog
from agnt5.flow import Queue
from agnt5.payloads import faithful
from agnt5.registry import WorkflowRegistry
from agnt5.runtime import Runtime
from agnt5.schedules import Schedules
from agnt5.testing.disk import SimulatedLog
from agnt5.testing.faults import Dice
from agnt5.testing.inline import SimulatedBus, later
from agnt5.testing.schedule import Failing


class SimulatedRuntime(Runtime):
    """The runtime of one incarnation.

    Workflows are not started by their cron expressions: a simulation would never end.
    """

    def __init__(
        self,
        log: SimulatedLog,
        clock: Clock,
        *,
        dice: Dice | None = None,
        failing: Sequence[Failing] = (),
        prefix: str = "",
        **options: Any,
    ) -> None:
        options.setdefault("grace", 0.0)
        options["queues"] = _queues(options.get("queues", ()))
        # Its reads are the disk's, which no checker sees.
        super().__init__(cast("EventLog", cast("object", log)), clock=clock, **options)
        # What a real house does first, in its own words: a class with everything bound.
        self.bus_class = _bound(dice or Dice(), tuple(failing), prefix)
        self.schedules = _NoSchedules(self.runs)

    @property
    def is_busy(self) -> bool:
        """Whether a run is in memory, or something is on its way to the log."""
        bus = self._bus
        if bus is None:
            return False
        in_motion = bus.journal._in_flight > 0 or bool(bus.family._errands)  # noqa: SLF001
        return bool(bus.runs) or in_motion or bus.entities.is_busy


def _queues(given: Iterable[Queue]) -> list[Queue]:
    """These, and without limits those that workflows name beside them."""
    known = {queue.name: queue for queue in given}
    for component in WorkflowRegistry.all().values():
        if component.queue is not None and component.queue not in known:
            known[component.queue] = Queue(component.queue)
    return list(known.values())


class _NoSchedules(Schedules):
    """Starts nothing."""

    def open(self) -> None:
        """Nothing to take up."""


def _bound(dice: Dice, failing: tuple[Failing, ...], prefix: str) -> type[Bus]:
    fields = {"dice": dice, "failing": failing, "prefix": prefix}
    return type("SimulatedBus", (FailingBus,), fields)


class FailingBus(SimulatedBus):
    """A bus some of whose functions fail a few times before they work."""

    failing: tuple[Failing, ...] = ()

    def send_attempt(self, handler: Handler, command: Attempt | Cancel) -> None:
        """To the executor of a function, unless it fails before it begins."""
        if isinstance(command, Attempt) and not command.verify:
            for each in self.failing:
                if each.function == handler.name and command.info.attempt < each.attempts:
                    if not each.after_effect:
                        report, info = command.report, command.info
                        later(1, partial(report, info, self._failure(handler, each)))
                        return
                    command.report = self._lost(handler, each, command)
        super().send_attempt(handler, command)

    def _failure(self, handler: Handler, failing: Failing) -> Failure:
        error = failing.error("simulated")
        allowed = handler.is_retryable(error)
        if allowed is None:
            policy = self._attempt_defaults.policy
            allowed = policy is None or policy.allows(error)
        return Failure(faithful(error), retryable=allowed)

    def _lost(self, handler: Handler, failing: Failing, command: Attempt) -> Any:
        report = command.report

        def reported(info: AttemptInfo, result: Result) -> None:
            after = result.after if isinstance(result, Success) else None
            failure = self._failure(handler, failing)
            failure.after = after
            report(info, failure)

        return reported
