"""What starts a workflow from outside, as its decorator says it; and what a delivery brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agnt5.cron import CronSpec, parse_cron
from agnt5.types import TriggerSpec, check_trigger

Secrets = str | Sequence[str]


@dataclass(frozen=True)
class Triggers:
    """Everything that starts one workflow, besides clients and other workflows."""

    specs: tuple[TriggerSpec, ...] = ()
    cron: CronSpec | None = None
    webhook: bool = False
    """It takes webhooks that are addressed to it by its name."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """With which its webhooks are signed, instead of those of their source."""

    def match(self, names: Sequence[str]) -> TriggerSpec | None:
        """The first trigger that one of these names of an event sets off."""
        return next((spec for spec in self.specs if spec.event_name in names), None)


NO_TRIGGERS = Triggers()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to the workflows that it starts."""

    payload: object
    envelope: dict[str, object]
    """The payload with everything that is known about it."""
    text: str | None = None
    """The payload as it came, when it came as text."""


def parse_triggers(
    triggers: object = None,
    cron: object = None,
    cron_timezone: object = None,
    cron_missed: object = "skip",
    *,
    webhook: object = False,
    webhook_secret: object = None,
) -> Triggers:
    """What a decorator was given, checked.

    Args:
        triggers: What starts it: made with ``event`` and ``webhook`` of :mod:`agnt5.types`.
        cron: When it starts: minute, hour, day of month, month, day of week.
        cron_timezone: The IANA name of the zone in which ``cron`` is meant; UTC by default.
        cron_missed: For times that pass while no runtime is open: start nothing (``"skip"``), one
            run for the latest (``"once"``), or one for each of the last 1000 (``"all"``).
        webhook: Whether webhooks may be delivered to it by its name.
        webhook_secret: With what its webhooks are signed, or several, instead of the secrets of
            their source.

    Raises:
        ValueError: With what is wrong and what is expected.
    """
    if isinstance(triggers, TriggerSpec):
        triggers = (triggers,)
    if triggers is None:
        triggers = ()
    if not isinstance(triggers, (list, tuple)):
        msg = f"triggers is a list of event(...) and webhook(...), not {triggers!r:.80}"
        raise ValueError(msg)
    for spec in triggers:
        check_trigger(spec)
    if cron is None and (cron_timezone is not None or cron_missed != "skip"):
        msg = "cron_timezone and cron_missed say how cron= is meant: give that as well"
        raise ValueError(msg)
    if not isinstance(webhook, bool):
        msg = f"webhook is True or False, not {webhook!r:.80}; a source goes into triggers=[...]"
        raise ValueError(msg)
    return Triggers(
        tuple(triggers),
        None if cron is None else parse_cron(cron, cron_timezone, cron_missed),
        webhook,
        () if webhook_secret is None else check_secrets(webhook_secret, "webhook_secret"),
    )


def check_secrets(secrets: object, what: str) -> tuple[str, ...]:
    """One secret or several (while one takes the place of another), as a tuple.

    Raises:
        ValueError: When there is none, or one of them is no text or empty. Never shows one.
    """
    found = (secrets,) if isinstance(secrets, str) else secrets
    if not isinstance(found, (list, tuple)) or not found:
        msg = f"{what} is a text or a list of texts, not {type(secrets).__name__}"
        raise ValueError(msg)
    for secret in found:
        if not isinstance(secret, str) or not secret.strip():
            msg = f"{what} must be a text that is not blank"
            raise ValueError(msg)
    return tuple(found)
