"""The dice of a simulation: what goes wrong, and how much later things come, by one seed.

Each throw has a name of its own (which append, which attempt), so that a crash between two throws
does not change the ones after it. Lateness is counted in turns of the loop, in which virtual time
stands still: what came in which order changes, what ``ctx.now()`` says does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

_TURNS = (0, 0, 0, 1, 3, 9, 27)


@dataclass(frozen=True)
class Dice:
    """What a seed makes of a simulation. Seed 0 is a calm one: nothing is late, nothing fails.

    Args:
        seed: The seed; the same one is the same run.
        doubled: The share of the reports of executors that come twice.
        refused: The share of new runs, signals and answers that a full disk refuses at first.
    """

    seed: int = 0
    doubled: float = 0.1
    refused: float = 0.05

    @property
    def is_calm(self) -> bool:
        """Whether nothing is late."""
        return self.seed == 0

    def at(self, *place: str) -> Random:
        """The dice of one place."""
        return Random("/".join((str(self.seed), *place)))  # noqa: S311 - a simulation, no secret

    @staticmethod
    def turns(dice: Random) -> int:
        """How late something is."""
        return dice.choice(_TURNS)

    def is_doubled(self, dice: Random) -> bool:
        """Whether it comes twice."""
        return dice.random() < self.doubled

    def is_refused(self, dice: Random) -> bool:
        """Whether a full disk refuses it."""
        return dice.random() < self.refused
