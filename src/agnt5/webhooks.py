"""What a webhook says, source by source: which event it is, which delivery, what came. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from pydantic import JsonValue

from agnt5.exceptions import InvalidInputError, PayloadTooLargeError
from agnt5.triggers import Delivery
from agnt5.types import MAX_EVENT_NAME

MAX_WEBHOOK_BYTES = 1024 * 1024
"""Of a body, unless the runtime says otherwise."""
MAX_DELIVERY_ID = 256
"""Characters of a delivery's id."""

_MAX_HEADERS = 128
_MAX_HEADER_BYTES = 32 * 1024
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
"""What lies on the log lies there for ever."""


@dataclass(frozen=True, slots=True)
class Request:
    """A webhook as it came in."""

    source: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Notice:
    """What a webhook says."""

    names: tuple[str, ...]
    """Of the event, without its source, the most exact one first; none if it names no event."""
    delivery_id: str | None
    """The same when its sender sends it again."""
    payload: JsonValue
    challenge: str | None = None
    """Slack wants this answered, and nothing else."""


def check_request(source: str, headers: object, body: object, limit: int) -> Request:
    """A request whose parts are of the right type and size.

    Raises:
        InvalidInputError: When they are not of the right type, or there are too many headers.
        PayloadTooLargeError: When the body has more than ``limit`` bytes.
    """
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    if not isinstance(body, (bytes, bytearray, memoryview)):
        msg = f"the body of a webhook is bytes as they came, not {type(body).__name__}"
        raise InvalidInputError(msg)
    body = bytes(body)
    if len(body) > limit:
        msg = (
            f"the webhook has {len(body)} bytes, {limit} are allowed;"
            " Runtime(max_webhook_bytes=...) allows more"
        )
        raise PayloadTooLargeError(msg, where=f"body of a webhook of {source!r}")
    if not isinstance(headers, Mapping):
        msg = f"the headers of a webhook are a mapping of texts, not {type(headers).__name__}"
        raise InvalidInputError(msg)
    if len(headers) > _MAX_HEADERS:
        msg = f"the webhook has {len(headers)} headers, {_MAX_HEADERS} are allowed"
        raise InvalidInputError(msg)
    found: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            msg = f"the headers of a webhook are texts; {name!r:.80} is not one, or has none"
            raise InvalidInputError(msg)
        if not (name + value).isprintable():
            # A lone surrogate, too, which could not be encoded.
            msg = f"the header {name!r:.80} of the webhook has characters that no header may have"
            raise InvalidInputError(msg)
        size += len(name) + len(value)
        found[name.lower()] = value.strip()
    if size > _MAX_HEADER_BYTES:
        msg = f"the headers of the webhook take {size} bytes, {_MAX_HEADER_BYTES} are allowed"
        raise InvalidInputError(msg)
    return Request(source, found, body)


def read_notice(request: Request, scheme: str) -> Notice:
    """What a request says, once its signature was found to be right.

    Raises:
        InvalidInputError: When the body is no JSON, or a name or an id in it cannot be used.
    """
    try:
        payload: JsonValue = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        msg = f"the body of the webhook of {request.source!r} is not JSON: {error}"
        raise InvalidInputError(msg) from None
    fields = payload if isinstance(payload, dict) else {}
    headers = request.headers
    match scheme:
        case "stripe":
            names, delivery = _names(fields.get("type")), _text(fields.get("id"))
        case "github":
            names = _names(headers.get("x-github-event"), fields.get("action"))
            delivery = headers.get("x-github-delivery")
        case "slack":
            if fields.get("type") == "url_verification":
                return Notice((), None, payload, _text(fields.get("challenge")) or "")
            inner = fields.get("event")
            names = _names(inner.get("type") if isinstance(inner, dict) else fields.get("type"))
            delivery = _text(fields.get("event_id"))
        case "sentry":
            names = _names(headers.get("sentry-hook-resource"), fields.get("action"))
            delivery = headers.get("request-id")
        case _:
            named = (headers.get("webhook-event"), fields.get("type"), fields.get("event"))
            names = _names(next((name for name in named if _text(name)), None))
            delivery = headers.get("webhook-id")
    return Notice(_checked(names, request.source), _checked_id(delivery, request.source), payload)


def delivery_of(request: Request, notice: Notice, event: str, now: str) -> Delivery:
    """What the workflows that a webhook starts are given."""
    text = request.body.decode("utf-8", "replace")
    headers = {n: value for n, value in request.headers.items() if n not in _CREDENTIALS}
    envelope: dict[str, object] = {
        "_webhook": True,
        "source": request.source,
        "integration_id": None,
        "event_type": event,
        "idempotency_key": notice.delivery_id,
        "timestamp": now,
        "headers": headers,
        "body": text,
        "payload": notice.payload,
        "source_ip": None,
    }
    return Delivery(notice.payload, envelope, text)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _names(name: object, action: object = None) -> tuple[str, ...]:
    """With its action, then without, so that a workflow may ask for either."""
    base, more = _text(name), _text(action)
    if base is None:
        return ()
    return (base,) if more is None else (f"{base}.{more}", base)


def _checked(names: tuple[str, ...], source: str) -> tuple[str, ...]:
    for name in names:
        if len(name) > MAX_EVENT_NAME or not name.isprintable():
            msg = f"the webhook of {source!r} names an event that cannot be one: {name!r:.80}"
            raise InvalidInputError(msg)
    return names


def _checked_id(delivery: str | None, source: str) -> str | None:
    if not delivery:
        return None
    if len(delivery) > MAX_DELIVERY_ID or not delivery.isprintable():
        msg = f"the webhook of {source!r} has an id that cannot be one: {delivery!r:.80}"
        raise InvalidInputError(msg)
    return delivery
