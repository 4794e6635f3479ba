"""Small shared types, and what can start a workflow. Imports nothing of agnt5 but its errors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

Json = JsonValue
"""What may lie on the log: JSON."""

MAX_EVENT_NAME = 200
"""Characters of an event's name."""


class ComponentKind(StrEnum):
    """What kind of thing a run executes."""

    FUNCTION = "function"
    WORKFLOW = "workflow"


@dataclass(frozen=True)
class TriggerSpec:
    """What starts a workflow. Made by :func:`event` and :func:`webhook`.

    Attributes:
        trigger_type: ``"event"``, also of a webhook.
        event_name: What it waits for; of a webhook ``SOURCE.EVENT``.
        trigger_id: A name for it, recorded with each run that it starts.
        filter_expression: Of the platform's SDK, as those below; a workflow that sets one of them
            is refused.
        input_mapping: The same.
        batch_window_ms: The same, milliseconds.
        delay_expression: The same.
    """

    trigger_type: str
    event_name: str = ""
    trigger_id: str = ""
    filter_expression: str = ""
    input_mapping: str = ""
    batch_window_ms: int = 0
    delay_expression: str = ""


def event(
    name: str,
    *,
    trigger_id: str = "",
    filter_expression: str = "",
    input_mapping: str = "",
    batch_window_ms: int = 0,
    delay_expression: str = "",
) -> TriggerSpec:
    """Start a workflow when an event of this name is emitted.

    Args:
        name: The event's name, at most 200 characters.
        trigger_id: A name for this trigger; it is recorded with each run that it starts.
        filter_expression: Not supported.
        input_mapping: Not supported: payloads are bound to parameters by name.
        batch_window_ms: Not supported.
        delay_expression: Not supported.

    Raises:
        ValueError: When the name is blank, or an option is not supported.

    >>> event(" user.signed_up ").event_name
    'user.signed_up'
    """
    spec = TriggerSpec(
        "event",
        event_name(name),
        trigger_id,
        filter_expression,
        input_mapping,
        batch_window_ms,
        delay_expression,
    )
    check_trigger(spec)
    return spec


def webhook(
    source: str,
    *,
    event: str,
    trigger_id: str = "",
    filter_expression: str = "",
    input_mapping: str = "",
    batch_window_ms: int = 0,
    delay_expression: str = "",
) -> TriggerSpec:
    """Start a workflow when a webhook of this source brings this event.

    The sources ``stripe``, ``github``, ``slack`` and ``sentry`` are known by their own signatures;
    any other one signs as Standard Webhooks say.

    Args:
        source: Who sends it; case does not matter.
        event: The event, as its sender calls it.
        trigger_id: As for :func:`event`; so are the others.
        filter_expression: Not supported.
        input_mapping: Not supported.
        batch_window_ms: Not supported.
        delay_expression: Not supported.

    Raises:
        ValueError: When the source or the event is blank, or an option is not supported.

    >>> webhook("Stripe", event="invoice.paid").event_name
    'stripe.invoice.paid'
    """
    spec = TriggerSpec(
        "event",
        event_name(f"{source_name(source)}.{event_name(event, 'the event of a webhook')}"),
        trigger_id,
        filter_expression,
        input_mapping,
        batch_window_ms,
        delay_expression,
    )
    check_trigger(spec)
    return spec


def event_name(name: object, what: str = "the name of an event") -> str:
    """The name without blanks around it.

    Raises:
        ValueError: When it is no printable text, blank, or too long.
    """
    if not isinstance(name, str) or not name.strip() or not name.strip().isprintable():
        msg = f"{what} must be a printable text that is not blank, not {name!r:.80}"
        raise ValueError(msg)
    if len(name.strip()) > MAX_EVENT_NAME:
        msg = f"{what} may have at most {MAX_EVENT_NAME} characters, not {len(name.strip())}"
        raise ValueError(msg)
    return name.strip()


def source_name(source: object) -> str:
    """The source of a webhook in lower case.

    Raises:
        ValueError: As :func:`event_name`.
    """
    return event_name(source, "the source of a webhook").lower()


def check_trigger(spec: TriggerSpec) -> None:
    """Refuse a trigger that could not be honoured.

    Raises:
        ValueError: With the option, and what to do instead.
    """
    if not isinstance(spec, TriggerSpec) or spec.trigger_type != "event":
        msg = f"a trigger is made by event(...) or webhook(...) of agnt5.types, not {spec!r:.80}"
        raise ValueError(msg)
    event_name(spec.event_name)
    if not isinstance(spec.trigger_id, str):
        msg = f"a trigger_id is a text, not {spec.trigger_id!r:.80}"
        raise ValueError(msg)
    for option, instead in _UNSUPPORTED.items():
        if getattr(spec, option):
            msg = f"{option} is not supported (event {spec.event_name!r}): {instead}"
            raise ValueError(msg)


_UNSUPPORTED = {
    "filter_expression": "look at the payload in the body, and return early",
    "input_mapping": "name the parameters as the fields of the payload, or take 'event: dict'",
    "batch_window_ms": "each event starts a run of its own",
    "delay_expression": "begin the body with 'await ctx.sleep(seconds)'",
}
