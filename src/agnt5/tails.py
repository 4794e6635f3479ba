"""What a listener to a run is told: recorded events and deltas in one order, each delta once."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from agnt5.actors.streams import Entry
from agnt5.events.run import facts as f
from agnt5.events.vocabulary import public_events
from agnt5.payloads import decode_error


@dataclass(frozen=True)
class ReceivedEvent:
    """One event of a run that is listened to.

    Attributes:
        event_type: What happened: a type of the log, or ``output.delta`` and its kin.
        data: What it says; by its type.
        run_id: The run.
    """

    event_type: str
    data: dict[str, Any] = field(default_factory=dict)
    content_index: int = 0
    """Which of the run's outputs a delta belongs to, counted from 0."""
    sequence: int = 0
    """The number of the event for this listener, counted from 1."""
    run_id: str | None = None
    is_output: bool = False
    """Whether it is about what an asynchronous generator yields, not something like it emitted."""

    @property
    def offset(self) -> StreamOffset | None:
        """Where to go on after this event; None unless it belongs to the output of a step."""
        data = self.data
        if not self.is_output:
            return None
        after = data.get("offset", -1) + 1 if self.event_type == "output.delta" else data["at"]
        return StreamOffset(data["step"], data["attempt"], after, data["execution"])


@dataclass(frozen=True)
class StreamOffset:
    """A place in the output of a step: the number of the delta that comes next.

    Args:
        step: The key of the step.
        attempt: The attempt that gave the deltas before, counted from 0.
        offset: How many deltas of it are known.
        execution: The execution of that attempt; a restart begins another one.
    """

    step: str
    attempt: int = 0
    offset: int = 0
    execution: str = ""


@dataclass(slots=True)
class _Output:
    """What is known of one step's output."""

    attempt: int
    execution: str
    next: int
    index: int
    heard: bool = False
    """Something of it was heard here, and not only by the listener before."""


_DONE = (f.RunCompleted, f.RunFailed, f.RunCancelled, f.RunContinued)


class Tail:
    """Merges what is recorded of a run with what it says; knows what was told already."""

    def __init__(self, run_id: str, kind: str, known: Iterable[StreamOffset], version: int) -> None:
        self.run_id = run_id
        self.version = 0
        """Up to which the recorded facts were taken in."""
        self.is_over = False
        """A terminal event was told."""
        self._kind = kind
        self._silent_until = version
        self._functions: dict[str, str | None] = {}
        self._facts: deque[tuple[int, f.RunFact]] = deque()
        self._entries: deque[Entry] = deque()
        self._outputs: dict[str, _Output] = {}
        self._questions: set[str] = set()
        self._suspended = False
        self._told: list[ReceivedEvent] = []
        self._count = 0
        for at in known:
            output = _Output(at.attempt, at.execution, at.offset, len(self._outputs))
            self._outputs[at.step] = output

    @property
    def is_at_rest(self) -> bool:
        """Everything was told, and nothing will follow by itself."""
        waits = self.is_over or self._suspended or bool(self._questions)
        return waits and not self._facts

    def hear(
        self, facts: Sequence[tuple[int, f.RunFact]], entries: Sequence[Entry]
    ) -> list[ReceivedEvent]:
        """What is to be told now. An entry follows what was recorded before it was said."""
        self._facts += facts
        self._entries += entries
        if facts:
            self.version = facts[-1][0]
        while self._entries:
            entry = self._entries[0]
            while self._facts and (
                self._facts[0][0] <= entry.version or not self._has_begun(entry)
            ):
                self._tell_fact(*self._facts.popleft())
            if not self._has_begun(entry):
                break
            self._tell_entry(self._entries.popleft())
        if not self._entries:
            while self._facts:
                self._tell_fact(*self._facts.popleft())
        told, self._told = self._told, []
        return told

    def _has_begun(self, entry: Entry) -> bool:
        """A step may speak before its request is on disk; it is heard afterwards."""
        return not entry.step or entry.step in self._functions

    def _tell(self, event_type: str, data: dict[str, Any], index: int | None = None) -> None:
        self._count += 1
        event = ReceivedEvent(
            event_type, data, index or 0, self._count, self.run_id, is_output=index is not None
        )
        self._told.append(event)

    def _tell_fact(self, version: int, fact: f.RunFact) -> None:
        (events,) = public_events(self._kind, [fact], self._functions)
        self._follow(fact)
        if isinstance(fact, f.StepCompleted) and version > self._silent_until:
            # Whoever knows that it has completed has heard all of it before.
            self._complete(fact)
        if version > self._silent_until:
            for event in events:
                data: dict[str, Any] = {"version": version, **event.metadata}
                data |= {
                    name: value
                    for name in ("step_key", "input_data", "output_data")
                    if (value := getattr(event, name)) is not None
                }
                if isinstance(fact, f.RunFailed | f.StepFailed):
                    error = decode_error(fact.error)
                    code = getattr(error, "code", None)
                    data["error_code"] = code if isinstance(code, str) else "EXECUTION_ERROR"
                    data["error_message"] = f"{type(error).__name__}: {error}"
                self._tell(event.event_type, data)
        self.is_over |= isinstance(fact, _DONE)

    def _follow(self, fact: f.RunFact) -> None:
        match fact:
            case f.UserInputRequested():
                self._questions.add(fact.key)
            case f.UserReplied() | f.UserInputExpired() | f.OperationCancelled():
                self._questions.discard(fact.key)
            case f.RunSuspended() | f.RunPaused() | f.RunResumed() | f.RunForked():
                self._suspended = isinstance(fact, f.RunSuspended | f.RunPaused)
            case _:
                pass

    def _complete(self, fact: f.StepCompleted) -> None:
        """What was not heard of an output that is recorded now is told from the record."""
        output, items = self._outputs.get(fact.key), fact.output
        if output is None or not isinstance(items, list):
            return
        if not output.heard or output.attempt != fact.attempt:
            # Whether the record is of the execution that was heard, nobody can say.
            self._begin(fact.key, fact.attempt, "recorded")
        if output.next < len(items):
            for item in items[output.next :]:
                self._delta(fact.key, output, item)
            self._place("output.stop", fact.key, output, {"emitted": output.next})

    def _tell_entry(self, entry: Entry) -> None:
        if not entry.execution:
            self._tell(entry.event_type, _news(entry))
            return
        output = self._outputs.get(entry.step)
        adopts = output is not None and not output.execution and output.attempt == entry.attempt
        if output is None or (output.execution != entry.execution and not adopts):
            output = self._begin(entry.step, entry.attempt, entry.execution)
        output.execution, output.heard = entry.execution, True
        if entry.event_type == "output.start" or entry.offset < output.next:
            return
        if entry.offset > output.next:
            gap = {"from_offset": output.next, "to_offset": entry.offset}
            output.next = entry.offset
            self._place("output.gap", entry.step, output, gap)
        if entry.event_type == "output.delta":
            self._delta(entry.step, output, entry.data)
        else:
            self._place("output.stop", entry.step, output, {"emitted": output.next})

    def _begin(self, step: str, attempt: int, execution: str) -> _Output:
        output = self._outputs.get(step)
        if output is None:
            output = self._outputs[step] = _Output(attempt, execution, 0, len(self._outputs))
        else:
            discarded = output.next
            output.attempt, output.execution, output.next = attempt, execution, 0
            self._place("output.reset", step, output, {"discarded": discarded})
        output.heard = True
        self._place("output.start", step, output, {})
        return output

    def _delta(self, step: str, output: _Output, item: JsonValue) -> None:
        output.next += 1
        self._place("output.delta", step, output, {"content": item, "offset": output.next - 1})

    def _place(self, event_type: str, step: str, output: _Output, about: dict[str, Any]) -> None:
        data = {"step": step, "attempt": output.attempt, "execution": output.execution}
        self._tell(event_type, {**about, **data, "at": output.next}, output.index)


def _news(entry: Entry) -> dict[str, Any]:
    data = entry.data if isinstance(entry.data, dict) else {"data": entry.data}
    return {**data, "step": entry.step, "attempt": entry.attempt} if entry.step else dict(data)


class TextTail:
    """The texts of deltas; a repeated beginning after a reset is told once."""

    def __init__(self) -> None:
        self._said: dict[str, list[str]] = {}
        self._at: dict[str, int] = {}

    def take(self, event: ReceivedEvent) -> str | None:
        """The text to be told, or None.

        Raises:
            ValueError: When a new attempt says something else than the one before had said.
        """
        if not event.is_output:
            return None
        step = event.data["step"]
        if event.event_type == "output.reset":
            self._at[step] = 0
        if event.event_type == "output.gap":
            msg = "deltas were lost because the stream was read too slowly"
            raise ValueError(msg)
        if event.event_type != "output.delta":
            return None
        content = event.data["content"]
        text = content if isinstance(content, str) else json.dumps(content)
        said, at = self._said.setdefault(step, []), self._at.get(step, 0)
        self._at[step] = at + 1
        if at == len(said):
            said.append(text)
            return text
        if said[at] != text:
            msg = f"a new attempt of step {step!r} gave another text than the one before"
            raise ValueError(msg)
        return None
