"""The desk for those who listen to runs. Lives on the runtime's loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agnt5.actors.streams import Listener
from agnt5.events.codec import decode_fact
from agnt5.events.run.facts import RunCompleted
from agnt5.exceptions import InvalidInputError, RunError, RuntimeClosedError
from agnt5.new_run import NewRun
from agnt5.registry import FunctionRegistry
from agnt5.runs import Runs
from agnt5.tails import ReceivedEvent, StreamOffset, Tail, TextTail


class Feed:
    """One listener to one run: takes what there is to tell, in portions."""

    def __init__(
        self, runs: Runs, listener: Listener, tail: Tail, timeout: float, text: TextTail | None
    ) -> None:
        self._runs = runs
        self._listener = listener
        self._tail = tail
        self._timeout = timeout
        self._text = text
        self._spoke = False

    async def take(self) -> list[Any]:
        """The next portion, as soon as there is one; empty at the end.

        Raises:
            RuntimeClosedError: When the runtime closes.
            RunError: When nothing came within the timeout; of texts, also when the run failed.
        """
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    told = await self._told()
                    if told or self._tail.is_at_rest:
                        return told or await self._end()
                    await self._listener.news.wait()
        except TimeoutError:
            run_id = self._tail.run_id
            msg = f"run {run_id} said nothing for {self._timeout:g} s; it goes on"
            raise RunError(msg, run_id=run_id, error_code="TIMEOUT") from None

    async def close(self) -> None:
        """Listen no more."""
        self._listener.close()
        with suppress(RuntimeClosedError):
            self._runs.bus.streams.sweep()

    async def _told(self) -> list[Any]:
        listener, tail, log = self._listener, self._tail, self._runs.bus.log
        listener.news.clear()
        # In this order: whatever is said of a step is said before its outcome is durable.
        entries, upto = listener.take(), listener.channel.version
        facts = []
        if upto > tail.version:
            stored = await self._runs.look(log.read, tail.run_id, after=tail.version, upto=upto)
            facts = [(each.version, decode_fact(each)) for each in stored]
        events = tail.hear(facts, entries)
        if self._text is None:
            return list[Any](events)
        return self._texts(self._text, events)

    def _texts(self, text: TextTail, events: Sequence[ReceivedEvent]) -> list[Any]:
        try:
            texts = [found for each in events if (found := text.take(each)) is not None]
        except ValueError as error:
            msg = f"{error}; client.stream_events announces such things instead of failing"
            raise RunError(msg, run_id=self._tail.run_id, error_code="STREAM_RESET") from None
        self._spoke = self._spoke or bool(texts)
        return texts

    async def _end(self) -> list[Any]:
        if self._text is None:
            return []
        run_id = self._tail.run_id
        response = (await self._runs.get_result(run_id)).raise_for_status()
        if not response.is_success:
            code = response.error.code if response.error else str(response.status).upper()
            why = response.error or "it waits for a person"
            raise RunError(f"run {run_id} does not go on: {why}", run_id=run_id, error_code=code)
        if self._spoke or response.output is None:
            return []
        self._spoke = True
        # A run that says nothing on the way says its output; one that was over, what it had said.
        last = await self._runs.look(self._runs.bus.log.last, run_id)
        fact = decode_fact(last) if last else None
        output = fact.output if isinstance(fact, RunCompleted) else None
        yields = getattr(FunctionRegistry.get(response.component or ""), "is_generator", False)
        said = output if isinstance(output, list) and yields else [output]
        return [each if isinstance(each, str) else json.dumps(each) for each in said]


class RunStreams:
    """Opens feeds."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def open(self, new: NewRun, timeout: float, *, text: bool = False) -> Feed:
        """Start a run and listen to it from its first event.

        Raises:
            InvalidInputError: When something is wrong; nothing was written.
        """
        _check_timeout(timeout)
        bus = self._runs.bus
        run_id = new.run_id or bus.ids.run_id()
        listener = bus.streams.listen(run_id)
        try:
            accepted = await self._runs.submit(replace(new, run_id=run_id))
        except BaseException:
            self._drop(listener, run_id)
            raise
        if accepted.run_id != run_id:
            self._drop(listener, run_id)
            return await self.attach(accepted.run_id, (), 0, timeout, text=text)
        tail = Tail(run_id, str(new.kind), (), 0)
        return Feed(self._runs, listener, tail, timeout, TextTail() if text else None)

    async def attach(
        self,
        run_id: str,
        known: StreamOffset | Iterable[StreamOffset] | None,
        after_version: int,
        timeout: float,
        *,
        text: bool = False,
    ) -> Feed:
        """Listen to a run that is there already.

        Raises:
            RunNotFoundError: When it is not.
            InvalidInputError: When an offset is wrong.
        """
        _check_timeout(timeout)
        if isinstance(after_version, bool) or not isinstance(after_version, int):
            msg = f"after_version is the version of an event, a number, not {after_version!r}"
            raise InvalidInputError(msg)
        offsets = _checked(known)
        row = await self._runs.row(run_id)
        bus = self._runs.bus
        listener = bus.streams.listen(run_id)
        channel = listener.channel
        channel.version = max(channel.version, bus.durable_version(run_id))
        if run_id not in bus.runs:
            # Nobody will say so when it leaves memory: the channel goes with its last listener.
            bus.streams.left(run_id)
            last = await self._runs.look(bus.log.last, run_id)
            channel.version = max(channel.version, last.version if last else 0)
        tail = Tail(run_id, row.kind, offsets, after_version)
        return Feed(self._runs, listener, tail, timeout, TextTail() if text else None)

    def _drop(self, listener: Listener, run_id: str) -> None:
        listener.close()
        self._runs.bus.streams.left(run_id)


def _check_timeout(timeout: Any) -> None:
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or not timeout > 0:
        msg = f"the timeout of a stream is a number of seconds greater than 0, not {timeout!r}"
        raise InvalidInputError(msg)


def _checked(known: StreamOffset | Iterable[StreamOffset] | None) -> list[StreamOffset]:
    if known is not None and not isinstance(known, Iterable | StreamOffset):
        msg = f"from_offset takes a StreamOffset or several, such as event.offset, not {known!r}"
        raise InvalidInputError(msg)
    offsets = [known] if isinstance(known, StreamOffset) else list(known or ())
    for each in offsets:
        if not isinstance(each, StreamOffset):
            msg = f"from_offset takes a StreamOffset or several, such as event.offset, not {each!r}"
            raise InvalidInputError(msg)
        if each.attempt < 0 or each.offset < 0:
            raise InvalidInputError(f"an offset must not be negative, as {each!r} is")
    return offsets
