"""What a client brings from outside: events and webhooks, which start workflows."""

from __future__ import annotations

from collections.abc import Mapping

from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.responses import SubmitResponse, WebhookResponse


class Triggering(BlockingClient):
    """Bring something from outside."""

    def emit_event(
        self, name: str, payload: object = None, dedupe_id: str | None = None
    ) -> list[SubmitResponse]:
        """Start every workflow that has ``event(name)`` among its triggers, each as its own run.

        Args:
            name: The event's name.
            payload: What happened; its fields become the arguments of the same name.
            dedupe_id: The same id of the same event starts each workflow once, for ever, even if
                its run has failed. At most 256 characters.

        Returns:
            One response per workflow; with a ``dedupe_id`` that is known, of the earlier runs.

        Raises:
            InvalidInputError: When the name or the id cannot be one.
            PayloadError: When the payload cannot be recorded, or is too large.
            StoreError: When a run cannot be recorded. Others may have been: emit it again, with the
                same ``dedupe_id``.
        """
        return self._ask(lambda rt: rt.ingress.emit(name, payload, dedupe_id))

    def deliver_webhook(
        self, source: str, headers: Mapping[str, str], body: bytes | str
    ) -> WebhookResponse:
        """Verify a webhook and start every workflow that wants it, once per delivery.

        Args:
            source: Who sends it, such as ``"stripe"``; or the name of a workflow that was declared
                with ``webhook=True``.
            headers: As they came; case does not matter.
            body: As it came: the signature is of its bytes.

        Raises:
            WebhookVerificationError: When it is not signed with a known secret, or not just now.
                Answer with status 401. Nothing was written.
            InvalidInputError: When it is no JSON, or malformed otherwise. Nothing was written.
            PayloadTooLargeError: When the body is too large. Nothing was written.
            StoreError: As for :meth:`emit_event`; the sender will try again.
        """
        return self._ask(lambda rt: rt.ingress.deliver(source, headers, body))


class AsyncTriggering(AwaitingClient):
    """Bring something from outside, awaited."""

    async def emit_event(
        self, name: str, payload: object = None, dedupe_id: str | None = None
    ) -> list[SubmitResponse]:
        """Start every workflow that wants an event. See :meth:`Client.emit_event`."""
        return await self._ask(lambda rt: rt.ingress.emit(name, payload, dedupe_id))

    async def deliver_webhook(
        self, source: str, headers: Mapping[str, str], body: bytes | str
    ) -> WebhookResponse:
        """Verify a webhook and start what wants it. See :meth:`Client.deliver_webhook`."""
        return await self._ask(lambda rt: rt.ingress.deliver(source, headers, body))
