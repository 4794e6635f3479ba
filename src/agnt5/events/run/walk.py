"""A replay, as data: walks the recorded facts of a run beside the body that asks for them again.

A *request* waits until the body has asked for its key; an *outcome* is handed out in the order of
the log; giving up an operation is a request too. Calls that the log does not hold are kept back
until the walk is over, because a crash may have eaten their request while outcomes that were
recorded in the same moment remain. Nothing in here knows of tasks or time.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from agnt5.events.keys import SCOPE, enclosing_keys, is_of_update, may_call
from agnt5.events.run import facts as f
from agnt5.events.run.state import RunState, is_covered

Delivery = f.Outcome | f.RunCancelRequested | f.UpdateReceived | f.RunForked


class Walk:
    """The position of a replay in a history."""

    def __init__(
        self, state: RunState, history: Sequence[f.RunFact], times: Sequence[int] = ()
    ) -> None:
        self._state = state
        self._facts = history
        self._times = times
        self._at = 0
        self._asked: dict[str, None] = {}
        self.given_up: dict[str, None] = {}
        """Keys for which the body has stopped waiting, in its order."""
        self.claimed: set[str] = set()
        """Keys that the log holds and the body has asked for."""

    def ask(self, key: str) -> None:
        """The body has called for this operation."""
        self._asked[key] = None

    def give_up(self, key: str) -> None:
        """The body has stopped waiting for this operation."""
        self.given_up[key] = None

    def advance(self) -> Delivery | None:  # noqa: C901 - a flat match over a closed union
        """Walk on as far as possible; the next thing to hand to the body, or None if it must move.

        None with ``is_over`` means that the history is at its end.
        """
        facts = self._facts
        while self._at < len(facts):
            fact = facts[self._at]
            match fact:
                case f.UserInputRequested() | f.UserReplied() | f.UserInputExpired() if fact.about:
                    pass  # between the engine and a person; the body knows nothing of it
                case _ if isinstance(fact, f.Outcome):
                    self._at += 1
                    if not self._covered(fact.key):
                        return fact
                    continue
                case _ if isinstance(fact, f.Request):
                    if not self._covered(fact.key):
                        if fact.key not in self._asked:
                            return None
                        self.claimed.add(fact.key)
                case f.OperationCancelled() | f.SignalReturned():
                    if fact.key not in self.given_up and not self._covered(fact.key):
                        return None
                case f.RunCancelRequested() | f.UpdateReceived() | f.RunForked():
                    self._at += 1
                    return fact
                case f.MarkerRecorded() | f.StateChanged() | f.EventEmitted():
                    self.claimed.add(fact.key)
                case _:
                    pass
            self._at += 1
        return None

    def finish(self, alive: Collection[str] = ()) -> bool:
        """The body has ended: walk to the end, if nothing is left that it should have asked for.

        Calls made inside an inline step that it left behind unsettled are nothing it should ask,
        nor are those of the handler of an update, which ends with the body, nor those of tasks
        that it left behind in these branches: the body waited for none of them, and how far they
        have come by its end is a matter of real time.
        """
        while True:
            while self.advance() is not None:
                pass
            if self.is_over:
                return True
            key = getattr(self.expected, "key", "")
            outer = [k for k in enclosing_keys(key) if k in self._asked and k in self._state.open]
            if not outer and not is_of_update(key) and not self._left_behind(key, alive):
                return False
            self._at += 1

    def _left_behind(self, key: str, alive: Collection[str]) -> bool:
        """Whether one of these branches could still make this call, or stop waiting for it."""
        # Any task may give up a call that the body has made; only one of its branch can make it.
        return bool(alive) and (key in self._asked or any(may_call(key, path) for path in alive))

    def went_on(self, said: Collection[str]) -> bool:
        """Whether what is left holds a call, a note or a give-up that the body has yet to make.

        Outcomes and letters from outside do not count: they say nothing of what the body did.
        """
        for fact in itertools.islice(self._facts, self._at, None):
            match fact:
                case f.OperationCancelled() | f.SignalReturned():
                    if fact.key not in self.given_up:
                        return True
                case f.MarkerRecorded() | f.StateChanged() | f.EventEmitted():
                    if fact.key not in said:
                        return True
                case (
                    f.StepScheduled()
                    | f.TimerScheduled()
                    | f.SignalAwaited()
                    | f.UserInputRequested()
                    | f.ChildStarted()
                ):
                    if fact.key not in self._asked:
                        return True
                case _:
                    pass
        return False

    @property
    def time(self) -> int:
        """When the fact that was passed last was decided, microseconds; 0 when that is unknown."""
        return self._times[self._at - 1] if 0 < self._at <= len(self._times) else 0

    @property
    def passed(self) -> int:
        """How many recorded facts have been passed."""
        return self._at

    @property
    def is_over(self) -> bool:
        """Whether every recorded fact has been passed."""
        return self._at >= len(self._facts)

    @property
    def expected(self) -> f.RunFact | None:
        """The recorded fact that the body has not asked for yet."""
        return None if self.is_over else self._facts[self._at]

    def held(self) -> list[str]:
        """Keys that the body has asked for and that no fact passed so far claims."""
        return [key for key in self._asked if key not in self.claimed]

    def _covered(self, key: str) -> bool:
        if SCOPE not in key:
            return False
        enclosing = enclosing_keys(key)
        # A crash may have eaten the record that an inline step was given up, and left its calls.
        return is_covered(self._state, key, enclosing) or any(k in self.given_up for k in enclosing)
