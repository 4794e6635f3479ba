"""Listening to runs: texts as they come, or every event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.new_run import NewRun
from agnt5.tails import ReceivedEvent, StreamOffset

_WAIT_S = 300.0


class Streaming(BlockingClient):
    """Listen to a run."""

    def stream(
        self,
        component: str,
        input_data: Mapping[str, Any] | None = None,
        component_type: str = "function",
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float = _WAIT_S,
        idempotency_key: str | None = None,
        run_id: str | None = None,
    ) -> Iterator[str]:
        """Start a run and give what its generators yield, as text, while they yield it.

        What is no text is given as JSON. A run that yields nothing gives its output, once. When a
        new attempt repeats the texts of the one before, they are not given again.

        Args:
            component: As for :meth:`Client.run`, and all others that are not named here.
            input_data: See there.
            component_type: See there.
            session_id: See there.
            user_id: See there.
            metadata: See there.
            timeout: Seconds to wait for the next text, 300 by default.
            idempotency_key: A run that was accepted before under it is listened to, not repeated.
            run_id: See there.

        Returns:
            An iterator. Leave it early with its ``close()``; the run goes on.

        Raises:
            InvalidInputError: When the input does not fit; nothing was written.
            UnknownComponentError: When there is no such component; nothing was written.
            RunError: While it is read: when the run fails, waits for a person or says nothing for
                too long, or when a new attempt gives another text than the one before.
        """
        new = NewRun(
            component,
            input_data,
            component_type,
            run_id,
            idempotency_key,
            session_id,
            user_id,
            metadata,
        )
        return self._listen(lambda rt: rt.streams.open(new, timeout, text=True))

    def stream_events(
        self,
        component: str,
        input_data: Mapping[str, Any] | None = None,
        component_type: str = "function",
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float = _WAIT_S,
        idempotency_key: str | None = None,
        run_id: str | None = None,
    ) -> Iterator[ReceivedEvent]:
        """Start a run and give its events: what is recorded, and what is said on the way.

        Ends when the run has ended, or waits for a person, or is suspended; a failure is an event.
        The arguments are those of :meth:`stream`; ``timeout`` is for the next event.

        Raises:
            InvalidInputError: When the input does not fit; nothing was written.
            UnknownComponentError: When there is no such component; nothing was written.
            RunError: While it is read: when no event comes within the timeout.
        """
        new = NewRun(
            component,
            input_data,
            component_type,
            run_id,
            idempotency_key,
            session_id,
            user_id,
            metadata,
        )
        return self._listen(lambda rt: rt.streams.open(new, timeout))

    def stream_run(
        self,
        run_id: str,
        *,
        from_offset: StreamOffset | Iterable[StreamOffset] | None = None,
        after_version: int = 0,
        timeout: float = _WAIT_S,
    ) -> Iterator[ReceivedEvent]:
        """Listen to a run that is there already, from its first event or from where one was.

        Args:
            run_id: The run.
            from_offset: The ``offset`` of the last event received of a step, or several, one for
                each step; what was received before is not given again.
            after_version: The ``version`` of the last recorded event received.
            timeout: Seconds to wait for the next event, 300 by default.

        Raises:
            RunNotFoundError: When there is no such run.
            InvalidInputError: When an offset is wrong.
            RunError: While it is read: when no event comes within the timeout.
        """
        return self._listen(
            lambda rt: rt.streams.attach(run_id, from_offset, after_version, timeout)
        )


class AsyncStreaming(AwaitingClient):
    """Listen to a run, awaited."""

    def stream(
        self,
        component: str,
        input_data: Mapping[str, Any] | None = None,
        component_type: str = "function",
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float = _WAIT_S,
        idempotency_key: str | None = None,
        run_id: str | None = None,
    ) -> AsyncIterator[str]:
        """Start a run at the first ``async for``; give its texts. See :meth:`Client.stream`."""
        new = NewRun(
            component,
            input_data,
            component_type,
            run_id,
            idempotency_key,
            session_id,
            user_id,
            metadata,
        )
        return self._listen(lambda rt: rt.streams.open(new, timeout, text=True))

    def stream_events(
        self,
        component: str,
        input_data: Mapping[str, Any] | None = None,
        component_type: str = "function",
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float = _WAIT_S,
        idempotency_key: str | None = None,
        run_id: str | None = None,
    ) -> AsyncIterator[ReceivedEvent]:
        """Start a run and give its events. See :meth:`Client.stream_events`."""
        new = NewRun(
            component,
            input_data,
            component_type,
            run_id,
            idempotency_key,
            session_id,
            user_id,
            metadata,
        )
        return self._listen(lambda rt: rt.streams.open(new, timeout))

    def stream_run(
        self,
        run_id: str,
        *,
        from_offset: StreamOffset | Iterable[StreamOffset] | None = None,
        after_version: int = 0,
        timeout: float = _WAIT_S,
    ) -> AsyncIterator[ReceivedEvent]:
        """Listen to a run that is there already. See :meth:`Client.stream_run`."""
        return self._listen(
            lambda rt: rt.streams.attach(run_id, from_offset, after_version, timeout)
        )
