"""What a client tells a run that is under way, and asks of it."""

from __future__ import annotations

from typing import Any

from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.events.run.commands import SubmitAnswer

_NO_ANSWER: Any = type("NoAnswer", (), {"__repr__": lambda _: "<no answer>"})()


class Outside(BlockingClient):
    """Tell a run something, and ask it."""

    def signal(
        self, run_id: str, name: str, payload: object = None, *, signal_id: str | None = None
    ) -> None:
        """Send a signal; durable when this returns.

        Args:
            run_id: The run. It may not have asked for the signal yet.
            name: The name, as in ``ctx.wait_for_signal``.
            payload: What the body gets.
            signal_id: An id of your own: sent twice, it is one signal.

        Raises:
            InvalidInputError: When the run has ended; nothing was written.
            PayloadError: When the payload cannot be recorded.
            RunNotFoundError: When there is no such run.
        """
        return self._ask(lambda rt: rt.runs.signal(run_id, name, payload, signal_id))

    def resume(
        self,
        run_id: str,
        user_response: object = _NO_ANSWER,
        *,
        key: str | None = None,
        actor: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        shown: str | None = None,
    ) -> None:
        """Answer the question that a run waits with, or let a paused or suspended run go on.

        The answer is durable when this returns. The same answer to a question that was answered
        before changes nothing.

        Args:
            run_id: The run.
            user_response: The answer; a list for several options; None skips the question. Not
                given: a paused run goes on, a suspended one is tried again with the code that is
                here now.
            key: Which question, when there are several.
            actor: Who answers. A question with assignees takes it from one of them.
            channel: By which way, such as ``email``.
            reason: Why.
            shown: The digest of what the person was shown, from the question's ``shown``.

        Raises:
            InvalidInputError: When it is no answer to the question, the question was answered
                otherwise before, or a run without one is neither paused nor suspended; nothing was
                written.
            RunNotFoundError: When there is no such run.
        """
        if user_response is _NO_ANSWER:
            return self._ask(lambda rt: rt.runs.unsuspend(run_id))
        about = SubmitAnswer(None, key, actor, channel, reason, shown)
        return self._ask(lambda rt: rt.conversations.answer(run_id, user_response, about))

    def submit_user_response(
        self,
        run_id: str,
        user_response: object,
        *,
        key: str | None = None,
        actor: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        shown: str | None = None,
    ) -> None:
        """Another spelling of :meth:`resume` with an answer."""
        return self.resume(
            run_id,
            user_response,
            key=key,
            actor=actor,
            channel=channel,
            reason=reason,
            shown=shown,
        )

    def query(self, run_id: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Ask a run that is under way; it answers from what its body has, and writes nothing.

        Args:
            run_id: The run.
            name: The name of the query, as in ``ctx.set_query_handler``.
            args: What the handler is given, copied.
            kwargs: The same, by name.

        Raises:
            QueryError: When there is no such handler, the run is not under way, or the handler
                raised.
            RunNotFoundError: When there is no such run.
        """
        return self._ask(lambda rt: rt.conversations.query(run_id, name, args, kwargs))

    def update(
        self,
        run_id: str,
        name: str,
        payload: object = None,
        *,
        update_id: str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Have a run do something, and wait for what it says about it.

        Args:
            run_id: The run.
            name: The name of the update, as in ``ctx.set_update_handler``.
            payload: What the handler is given.
            update_id: An id of your own: asked twice, it is done once and answered twice.
            timeout: Seconds to wait; without limit if None. What was accepted goes on.

        Returns:
            What the handler returned.

        Raises:
            InvalidInputError: When there is no such handler, its validator refuses the payload, or
                the run is not under way; nothing was written.
            UpdateError: When the run ended, or was suspended, before the handler had.
            StepTimeoutError: When the time is over.
            Exception: What the handler raised.
        """
        return self._ask(
            lambda rt: rt.conversations.update(run_id, name, payload, update_id, timeout)
        )


class AsyncOutside(AwaitingClient):
    """Tell a run something, and ask it, awaited."""

    async def signal(
        self, run_id: str, name: str, payload: object = None, *, signal_id: str | None = None
    ) -> None:
        """Send a signal. See :meth:`Client.signal`."""
        return await self._ask(lambda rt: rt.runs.signal(run_id, name, payload, signal_id))

    async def resume(
        self,
        run_id: str,
        user_response: object = _NO_ANSWER,
        *,
        key: str | None = None,
        actor: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        shown: str | None = None,
    ) -> None:
        """Answer a question, or try a suspended run again. See :meth:`Client.resume`."""
        if user_response is _NO_ANSWER:
            return await self._ask(lambda rt: rt.runs.unsuspend(run_id))
        about = SubmitAnswer(None, key, actor, channel, reason, shown)
        return await self._ask(lambda rt: rt.conversations.answer(run_id, user_response, about))

    async def submit_user_response(
        self,
        run_id: str,
        user_response: object,
        *,
        key: str | None = None,
        actor: str | None = None,
        channel: str | None = None,
        reason: str | None = None,
        shown: str | None = None,
    ) -> None:
        """Another spelling of :meth:`resume` with an answer."""
        return await self.resume(
            run_id,
            user_response,
            key=key,
            actor=actor,
            channel=channel,
            reason=reason,
            shown=shown,
        )

    async def query(self, run_id: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Ask a run that is under way. See :meth:`Client.query`."""
        return await self._ask(lambda rt: rt.conversations.query(run_id, name, args, kwargs))

    async def update(
        self,
        run_id: str,
        name: str,
        payload: object = None,
        *,
        update_id: str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Have a run do something, and wait for its word. See :meth:`Client.update`."""
        return await self._ask(
            lambda rt: rt.conversations.update(run_id, name, payload, update_id, timeout)
        )
