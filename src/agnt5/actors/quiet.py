"""A house in which nothing is executed: letters to runs are written down, or not even that.

What follows from a recorded fact follows from the log, so whoever executes runs next does it: an
effect that is let go by nobody here is not lost. So is a run that ends here and owes its parent
a report: its index row says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Never

from agnt5.actors.bus import Bus
from agnt5.actors.journal import Journal
from agnt5.actors.mailbox import Reply
from agnt5.actors.reader import History
from agnt5.actors.run import RunActor
from agnt5.events.log import Append
from agnt5.events.run import commands as c
from agnt5.events.run import effects as e
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState, fold
from agnt5.exceptions import InvalidInputError, StoreError, StoreReadOnlyError

logger = logging.getLogger("agnt5.runtime")

LOOK_AGAIN_S = 0.1
"""How often somebody who follows a log that another process writes looks whether there is more."""


class Clerk(RunActor):
    """Has a run for as long as it takes to write down what a letter leads to."""

    def load(
        self, state: RunState, history: Sequence[tuple[f.RunFact, int]], *, begin: bool = True
    ) -> None:
        """Take letters; its body does not begin."""
        del begin
        super().load(state, history, begin=False)

    def perform(self, effect: e.RunEffect) -> None:
        """Nothing: it is owed until somebody executes the run."""

    def at_rest(self) -> None:
        """Nothing: that its time is over, or that it only waits, others find out."""


class QuietBus(Bus):
    """Takes letters to runs, records what is decided, and steps back."""

    executes = False

    def open(self) -> None:
        """Take nothing up."""

    def create(self, run_id: str) -> RunActor:
        """The clerk of a run."""
        actor = self.runs[run_id] = Clerk(
            run_id,
            self,
            self._context,
            self._settings.run,
            journal=self.journal,
            clock=self.clock,
            ids=self.ids,
        )
        return actor

    @property
    def has_room(self) -> bool:
        """Nothing becomes active here."""
        return False

    def wake(self, run_id: str) -> None:
        """Nothing: its row says that it is to be executed."""

    def summon(self, run_id: str) -> Never:
        """Refuse: only its body can answer.

        Raises:
            InvalidInputError: Always.
        """
        raise InvalidInputError(
            f"run {run_id!r} is not executed here, so nobody can answer for it: send queries and"
            " updates from the program that executes it"
        )

    def _loaded(self, actor: RunActor, history: History) -> None:
        actor.load(fold(actor.state.run_id, history), history, begin=False)
        self._step_back(actor)

    def _go_on(
        self, actor: RunActor, state: RunState, history: History, reply: Reply | None = None
    ) -> None:
        actor.resume_suspended(state, history, "", reply, begin=False)
        self._step_back(actor)

    def _step_back(self, actor: RunActor) -> None:
        asyncio.get_running_loop().call_soon(self._passivate, actor, context=self._context)

    def failed(self, actor: RunActor, error: BaseException) -> None:
        """Give the letters back. There is nothing to begin again."""
        for letter in actor.take_letters():
            if letter.reply is not None:
                letter.reply(error)
        actor.shut(error)
        self._forget(actor)


class ClosedJournal(Journal):
    """Takes nothing: its log is only looked at."""

    def append(self, request: Append) -> None:
        """Refuse.

        Raises:
            StoreReadOnlyError: Always.
        """
        raise _refusal(request.stream)


class LookingBus(QuietBus):
    """Takes no letters: its log is only looked at, and another process may write it meanwhile."""

    journal_class = ClosedJournal
    _watch: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Watch for what others write, for those who follow the log."""
        loop = asyncio.get_running_loop()
        self._watch = loop.create_task(self._look_again(), context=self._context.copy())

    async def close(self, grace_s: float) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()
        await super().close(grace_s)

    def send(
        self, run_id: str, command: c.RunCommand, reply: Reply | None = None, *, edge: bool = False
    ) -> None:
        """Refuse."""
        del command, edge
        _refuse(run_id, reply)

    def start(self, run_id: str, command: c.QueueRun, reply: Reply) -> None:
        """Refuse."""
        del command
        _refuse(run_id, reply)

    def resume(self, run_id: str, reply: Reply) -> None:
        """Refuse."""
        _refuse(run_id, reply)

    async def _look_again(self) -> None:
        seen = -1
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            if not self.journal.followers:
                continue
            try:
                position = await asyncio.to_thread(self.log.position)
            except StoreError as error:
                # Those who follow are woken: they read, and are told the same.
                logger.warning("the log cannot be looked at: %s", error)
                position = -1
            if position != seen or position < 0:
                seen = position
                self.journal.wake()


def _refuse(run_id: str, reply: Reply | None) -> None:
    if reply is not None:
        reply(_refusal(run_id))


def _refusal(run_id: str) -> StoreReadOnlyError:
    return StoreReadOnlyError(f"run {run_id!r} was left alone: its store is only looked at")
