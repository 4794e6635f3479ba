"""What a client tells a run that is under way: signals and answers."""

from __future__ import annotations

from typing import Any

from agnt5.client_base import AwaitingClient, BlockingClient

_NO_ANSWER: Any = type("NoAnswer", (), {"__repr__": lambda _: "<no answer>"})()


class Outside(BlockingClient):
    """Tell a run something."""

    def signal(
        self, run_id: str, name: str, payload: object = None, *, signal_id: str | None = None
    ) -> None:
        """Send a signal; durable when this returns. The same ``signal_id`` is the same signal."""
        return self._ask(lambda rt: rt.runs.signal(run_id, name, payload, signal_id))

    def resume(
        self, run_id: str, user_response: object = _NO_ANSWER, *, key: str | None = None
    ) -> None:
        """Answer the question that a run waits with, or try a suspended run again.

        Args:
            run_id: The run.
            user_response: The answer; None skips the question. Not given: try the run again.
            key: Which question, when there are several.
        """
        if user_response is _NO_ANSWER:
            return self._ask(lambda rt: rt.runs.unsuspend(run_id))
        return self._ask(lambda rt: rt.runs.answer(run_id, user_response, key))


class AsyncOutside(AwaitingClient):
    """Tell a run something, awaited."""

    async def signal(
        self, run_id: str, name: str, payload: object = None, *, signal_id: str | None = None
    ) -> None:
        """Send a signal. See :meth:`Client.signal`."""
        return await self._ask(lambda rt: rt.runs.signal(run_id, name, payload, signal_id))

    async def resume(
        self, run_id: str, user_response: object = _NO_ANSWER, *, key: str | None = None
    ) -> None:
        """Answer a question, or try a suspended run again. See :meth:`Client.resume`."""
        if user_response is _NO_ANSWER:
            return await self._ask(lambda rt: rt.runs.unsuspend(run_id))
        return await self._ask(lambda rt: rt.runs.answer(run_id, user_response, key))
