"""The shell around a decider: receive -> decide -> fold -> append -> react, once durable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextvars import Context

from agnt5.actors.actor import Actor
from agnt5.actors.clock import Clock
from agnt5.actors.gauge import Gauge
from agnt5.actors.ids import Ids
from agnt5.actors.journal import Journal
from agnt5.actors.mailbox import Envelope, Reply
from agnt5.events.codec import encode_fact
from agnt5.events.log import Append, Beginning, Chain
from agnt5.events.projections import affects_row, changes_of
from agnt5.events.run.commands import RunCommand
from agnt5.events.run.decider import decide, react
from agnt5.events.run.effects import CancelAttempt, Execute, RunEffect
from agnt5.events.run.facts import RunContinued, RunFact, RunQueued
from agnt5.events.run.state import RunState, evolve
from agnt5.events.run.succession import successor_of
from agnt5.exceptions import AGNT5Error, StoreError


class EventSourced(Actor[RunCommand], ABC):
    """Owns one stream and is the only one in this process that writes it."""

    def __init__(
        self,
        run_id: str,
        context: Context,
        *,
        journal: Journal,
        clock: Clock,
        ids: Ids,
        gauge: Gauge,
    ) -> None:
        super().__init__(f"run {run_id}", context)
        self.state = RunState(run_id)
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._chain = Chain()
        self.gauge = gauge
        self._in_flight = 0
        self._settlers: list[Reply] = []

    def receive(self, batch: Sequence[Envelope[RunCommand]]) -> None:
        """Decide all that lies in the mailbox and append it as one append."""
        state, now = self.state, self._clock.now()
        was_parked = state.parked
        facts: list[RunFact] = []
        eager: list[RunEffect] = []
        later: list[RunEffect] = []
        replies: list[Reply] = []
        for envelope in batch:
            try:
                decided = decide(state, envelope.command, now)
            except AGNT5Error as refusal:
                if envelope.reply is None:
                    raise
                envelope.reply(refusal)
                continue
            for fact in decided:
                evolve(state, fact, now)
                facts.append(fact)
                for effect in react(state, fact):
                    at_once = isinstance(effect, CancelAttempt) or (
                        isinstance(effect, Execute) and effect.eager
                    )
                    (eager if at_once else later).append(effect)
            if envelope.reply is not None:
                replies.append(envelope.reply)
        if facts:
            self._append(facts, now, was_parked, later, replies)
        elif replies:
            self._answer_when_durable(replies)
        for effect in eager:
            self.perform(effect)

    def _append(
        self,
        facts: list[RunFact],
        now: int,
        was_parked: bool,
        effects: list[RunEffect],
        replies: list[Reply],
    ) -> None:
        state, ids = self.state, self._ids
        changed = was_parked or any(map(affects_row, facts))
        raw = [encode_fact(fact, now, ids.event_id()) for fact in facts]
        self._in_flight += 1
        new = facts[0] if isinstance(facts[0], RunQueued) else None
        self._journal.append(
            Append(
                stream=state.run_id,
                after=state.version - len(facts),
                facts=raw,
                changes=changes_of(state, facts) if changed else (),
                chain=self._chain,
                on_settled=self._settler(effects, replies),
                urgent=bool(effects or replies),
                edge=new is not None,
                volatile=new is not None and not new.durable,
                begins=self._successor(facts[-1], now) if changed else None,
            )
        )
        if self.gauge.add(raw, state):
            self.has_grown()

    def _successor(self, last: RunFact, now: int) -> Beginning | None:
        """The stream of the run that goes on in place of this one, if that is how it has ended."""
        if not isinstance(last, RunContinued):
            return None
        state, facts = successor_of(self.state, last, now)
        encoded = [encode_fact(fact, now, self._ids.event_id()) for fact in facts]
        return Beginning(state.run_id, encoded, changes_of(state, facts))

    def _settler(self, effects: list[RunEffect], replies: list[Reply]) -> Callable[[Append], None]:
        def settle(append: Append) -> None:
            self._in_flight -= 1
            if append.error is not None:
                waiting, self._settlers = self._settlers, []
                for reply in (*replies, *waiting):
                    reply(append.error)
                self.append_failed(append.error, append.after + 1)
                return
            self.became_durable(append.after + len(append.facts))
            for reply in replies:
                reply(None)
            try:
                for effect in effects:
                    self.perform(effect)
                if not self._in_flight:
                    self._settled()
            except Exception as error:  # noqa: BLE001 - an actor's crash is its supervisor's business
                self.crashed(error)

        return settle

    def _answer_when_durable(self, replies: list[Reply]) -> None:
        """What they asked for stands already, but perhaps not on disk yet."""
        if not self._in_flight:
            for reply in replies:
                reply(None)
        else:
            self._settlers += replies

    def _settled(self) -> None:
        waiting, self._settlers = self._settlers, []
        for reply in waiting:
            reply(None)
        self.at_rest()

    def has_grown(self) -> None:
        """It is as large as a run may be, or half as large."""

    def became_durable(self, version: int) -> None:
        """The stream is on disk up to this version."""

    @abstractmethod
    def perform(self, effect: RunEffect) -> None:
        """Let an effect go: what it rests on is durable."""

    @abstractmethod
    def append_failed(self, error: StoreError, first_version: int) -> None:
        """The stream could not be extended: what this actor believes is wrong."""

    @abstractmethod
    def at_rest(self) -> None:
        """Everything that was decided is durable."""
