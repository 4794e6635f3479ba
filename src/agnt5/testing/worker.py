"""A worker of a simulation: one incarnation of a runtime, which may stand still and go on later."""

from __future__ import annotations

from contextvars import Context, copy_context
from dataclasses import dataclass, field

from agnt5.testing.disk import SimulatedLog
from agnt5.testing.house import SimulatedRuntime
from agnt5.testing.loop import WORKER, VirtualLoop


@dataclass(eq=False)
class Worker:
    """One incarnation on a loop that it shares with others."""

    log: SimulatedLog
    runtime: SimulatedRuntime
    loop: VirtualLoop
    context: Context = field(default_factory=copy_context)
    """Of everything that is done in it."""
    is_frozen: bool = False

    def __post_init__(self) -> None:
        """By its context the loop knows what is its own."""
        self.context.run(WORKER.set, self)

    async def start(self) -> None:
        """Open the runtime."""
        await self.loop.create_task(self.runtime.start(), context=self.context)

    def freeze(self) -> None:
        """It stands still: a pause of the garbage collector, a laptop that is shut. Idempotent."""
        self.is_frozen = True
        self.log.hold()
        self.loop.freeze(self)

    def thaw(self) -> None:
        """It goes on where it was, and knows of nothing that happened meanwhile. Idempotent."""
        if self.is_frozen:
            self.is_frozen = False
            self.loop.thaw(self)
            self.loop.call_soon(self.log.go_on, context=self.context)

    def lingers(self) -> set[str]:
        """Runs that it still holds, though it was told that it has lost them."""
        return self.log.refused & self.runtime.active
