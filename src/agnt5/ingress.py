"""The desk for what comes from outside: events and webhooks start the workflows that want them."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from agnt5.answers import when
from agnt5.exceptions import ConfigurationError, InvalidInputError, WebhookVerificationError
from agnt5.new_run import NewRun
from agnt5.registry import WorkflowComponent, WorkflowRegistry
from agnt5.responses import SubmitResponse, WebhookResponse
from agnt5.runs import Runs
from agnt5.telemetry.current import calling_with, carrying
from agnt5.triggers import Delivery, Secrets, check_secrets
from agnt5.types import event_name, source_name
from agnt5.webhook_signatures import Scheme, scheme_in, scheme_of, verify
from agnt5.webhooks import (
    MAX_DELIVERY_ID,
    MAX_WEBHOOK_BYTES,
    Notice,
    Request,
    check_request,
    delivery_of,
    read_notice,
)

SECRET_VARIABLE = "AGNT5_WEBHOOK_SECRET_"  # noqa: S105 - the name of one
"""Before the name of the source in upper case."""

Wanted = Sequence[tuple[WorkflowComponent, str]]
"""Workflows, each with the ``trigger_id`` of the trigger that was set off."""


class Ingress:
    """Emits events and takes webhooks in."""

    def __init__(
        self,
        runs: Runs,
        secrets: Mapping[str, Secrets] | None = None,
        max_webhook_bytes: int = MAX_WEBHOOK_BYTES,
    ) -> None:
        if not isinstance(max_webhook_bytes, int) or max_webhook_bytes < 1:
            msg = f"max_webhook_bytes takes bytes, 1 or more, not {max_webhook_bytes!r}"
            raise ConfigurationError(msg)
        self._runs = runs
        self._secrets = _checked(secrets)
        self._limit = max_webhook_bytes

    # Events.

    async def emit(
        self, name: str, payload: object = None, dedupe_id: str | None = None
    ) -> list[SubmitResponse]:
        """Start every workflow that wants an event of this name; durable when this returns."""
        try:
            name = event_name(name)
        except ValueError as error:
            raise InvalidInputError(str(error)) from None
        _check_dedupe_id(dedupe_id)
        bus = self._runs.bus
        # Before the first run: none is written of an event that could not be written as a whole.
        bus.encode(payload, f"payload of event {name!r}")
        envelope: dict[str, object] = {
            "event_type": name,
            "idempotency_key": dedupe_id,
            "timestamp": when(bus.clock.now()).isoformat(),
            "payload": payload,
        }
        origin: dict[str, JsonValue] = {"type": "event", "name": name}
        key = None
        if dedupe_id is not None:
            origin["dedupe_id"] = dedupe_id
            key = f"event\t{name}\t{dedupe_id}"
        return await self._start(_wanting((name,)), Delivery(payload, envelope), origin, key)

    # Webhooks.

    async def deliver(
        self, source: str, headers: Mapping[str, str], body: bytes | str
    ) -> WebhookResponse:
        """Verify a webhook and start every workflow that wants it."""
        try:
            name = source_name(source)
        except ValueError as error:
            raise InvalidInputError(str(error)) from None
        bus = self._runs.bus
        request = check_request(name, headers, body, self._limit)
        addressed = WorkflowRegistry.get(source.strip())
        if addressed is not None and addressed.triggers.webhook:
            scheme = scheme_in(request.headers)
        else:
            addressed, scheme = None, scheme_of(name)
        notice, wanted = self._verified(request, scheme, addressed)
        event = notice.names[0] if notice.names else None
        if notice.challenge is not None:
            return WebhookResponse(200, None, None, challenge=notice.challenge)
        delivery = delivery_of(request, notice, event or "", when(bus.clock.now()).isoformat())
        bus.encode(delivery.envelope, f"webhook of {name!r}")
        origin: dict[str, JsonValue] = {
            "type": "webhook",
            "name": name if event is None else f"{name}.{event}",
            "source": name,
        }
        key = None
        if notice.delivery_id is not None:
            origin["dedupe_id"] = notice.delivery_id
            key = f"webhook\t{name}\t{notice.delivery_id}"
        # Of a web server that is not instrumented itself, the request names the span of the sender.
        start = carrying(
            lambda: self._start(wanted, delivery, origin, key), calling_with(request.headers)
        )
        started = await start()
        return WebhookResponse(202 if started else 200, event, notice.delivery_id, started)

    def _verified(
        self, request: Request, scheme: Scheme, addressed: WorkflowComponent | None
    ) -> tuple[Notice, Wanted]:
        """What a request says, and the workflows that want it and take its signature.

        A workflow that has secrets of its own takes no other ones.
        """
        source = request.source
        refusal: WebhookVerificationError | None = None
        good: set[tuple[str, ...]] = set()
        common = self._secrets_of(source)
        owners = [addressed] if addressed else list(WorkflowRegistry.all().values())
        own = {o.triggers.secrets for o in owners if o is addressed or _takes(o, source)}
        # Where the workflow that is addressed has its own, those of the source are none of ours.
        own.discard(())
        sets = own if addressed and own else {*own, common} - {()}
        for secrets in sets:
            try:
                verify(scheme, request.headers, request.body, secrets, self._seconds())
                good.add(secrets)
            except WebhookVerificationError as error:
                refusal = error
        if not good:
            raise refusal or WebhookVerificationError(_no_secret(source))
        notice = read_notice(request, scheme.name)
        if addressed is not None:
            return notice, [(addressed, "")]
        wanted = _wanting([f"{source}.{name}" for name in notice.names])
        return notice, [(w, t) for w, t in wanted if (w.triggers.secrets or common) in good]

    def _seconds(self) -> int:
        return self._runs.bus.clock.now() // 1_000_000

    def _secrets_of(self, source: str) -> tuple[str, ...]:
        known = self._secrets.get(source)
        if known is not None:
            return known
        # Several are separated by blanks, for the time in which one takes the place of another.
        return tuple(os.environ.get(_variable(source), "").split())

    # Both.

    async def _start(
        self,
        wanted: Wanted,
        delivery: Delivery,
        origin: dict[str, JsonValue],
        key: str | None,
    ) -> list[SubmitResponse]:
        started = await asyncio.gather(
            *(
                self._runs.submit(
                    NewRun(
                        workflow.name,
                        workflow.bind(delivery),
                        "workflow",
                        origin={**origin, "trigger_id": trigger} if trigger else origin,
                        delivery=key,
                    )
                )
                for workflow, trigger in wanted
            ),
            # One that cannot be written does not stop the others.
            return_exceptions=True,
        )
        for outcome in started:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in started if not isinstance(outcome, BaseException)]


def _wanting(names: Sequence[str]) -> Wanted:
    found: list[tuple[WorkflowComponent, str]] = []
    for _, workflow in sorted(WorkflowRegistry.all().items()):
        spec = workflow.triggers.match(names)
        if spec is not None:
            found.append((workflow, spec.trigger_id))
    return found


def _takes(workflow: WorkflowComponent, source: str) -> bool:
    """Whether a webhook of this source may concern a workflow at all."""
    begins = f"{source}."
    return any(spec.event_name.startswith(begins) for spec in workflow.triggers.specs)


def _check_dedupe_id(dedupe_id: object) -> None:
    if dedupe_id is None:
        return
    if not isinstance(dedupe_id, str) or not dedupe_id.strip() or not dedupe_id.isprintable():
        msg = f"a dedupe_id is a printable text that is not blank, not {dedupe_id!r:.80}"
        raise InvalidInputError(msg)
    if len(dedupe_id) > MAX_DELIVERY_ID:
        msg = f"a dedupe_id may have at most {MAX_DELIVERY_ID} characters, not {len(dedupe_id)}"
        raise InvalidInputError(msg)


def _checked(secrets: object) -> dict[str, tuple[str, ...]]:
    """The secrets by source.

    Raises:
        ConfigurationError: When a source or a secret is wrong. Never shows a secret.
    """
    if secrets is None:
        return {}
    if not isinstance(secrets, Mapping):
        msg = f"webhook_secrets maps sources to secrets, it is no {type(secrets).__name__}"
        raise ConfigurationError(msg)
    found: dict[str, tuple[str, ...]] = {}
    for source, given in secrets.items():
        try:
            name = source_name(source)
            found[name] = check_secrets(given, f"the webhook secret of {name!r}")
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        for secret in found[name]:
            scheme_of(name).keys(secret)
    return found


def _variable(source: str) -> str:
    return SECRET_VARIABLE + re.sub(r"[^A-Z0-9]", "_", source.upper())


def _no_secret(source: str) -> str:
    return (
        f"the webhook was refused: there is no secret for the source {source!r}, so that nobody"
        f" can say who sent it. Give Runtime(webhook_secrets={{{source!r}: ...}}), set"
        f" {_variable(source)}, or say @workflow(webhook_secret=...)"
    )
