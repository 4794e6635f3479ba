"""What a workflow's decorator may be told, checked."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agnt5.exceptions import ConfigurationError
from agnt5.triggers import NO_TRIGGERS, Secrets, Triggers, parse_triggers
from agnt5.types import TriggerSpec


@dataclass(frozen=True)
class WorkflowConfig:
    """How a workflow was declared."""

    name: str
    handler: Callable[..., Any]
    description: str
    timeout_s: float | None = None
    queue: str | None = None
    version: str | None = None
    default: bool = False
    triggers: Triggers = NO_TRIGGERS
    durable: bool = True
    chat: bool = False


def configured(
    handler: Callable[..., Any], name: str | None, description: str, fields: Mapping[str, Any]
) -> WorkflowConfig:
    """The declaration of a workflow, with the fields that its options gave.

    Raises:
        ConfigurationError: When this is no function.
    """
    if not callable(handler) or isinstance(handler, type):
        msg = f"@workflow decorates functions, not {handler!r}"
        raise ConfigurationError(msg)
    about = description or (inspect.getdoc(handler) or "").partition("\n")[0]
    return WorkflowConfig(name or str(getattr(handler, "__name__", "")), handler, about, **fields)


def checked_options(name: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a workflow, as fields of its declaration.

    Raises:
        ConfigurationError: When a setting is wrong.
        ValueError: When a trigger is wrong.
        TypeError: When there is no such option.
    """
    what = "@workflow" if name is None else f"workflow {name!r}"
    known = list(inspect.signature(workflow_options).parameters)[1:]
    unknown = [option for option in options if option not in known]
    if unknown:
        msg = (
            f"{what} has no option {', '.join(map(repr, unknown))}; there are name, description,"
            f" {', '.join(known)}"
        )
        raise TypeError(msg)
    return workflow_options(what, **options)


def workflow_options(
    what: str,
    *,
    timeout: float | None = None,
    queue: str | None = None,
    version: str | None = None,
    default: bool = False,
    enable_durability: bool = True,
    chat: bool = False,
    triggers: Sequence[TriggerSpec] | None = None,
    cron: str | None = None,
    cron_timezone: str | None = None,
    cron_missed: str = "skip",
    webhook: bool = False,
    webhook_secret: Secrets | None = None,
) -> dict[str, Any]:
    """The options of a workflow, as fields of its declaration.

    Args:
        what: Of which workflow, for messages.
        timeout: Seconds that a run may be under way, without the time in which it only waits (for
            a time, a signal, a person, a child, the next attempt); unlimited by default. A run
            that takes longer fails with RunTimeoutError.
        queue: The queue in which its runs line up, unless the client names another one.
        version: A label. Runs are pinned to the version that they were accepted with, and several
            versions of one name can be registered side by side.
        default: New runs use this version, even if a newer one is registered.
        enable_durability: False: its runs are kept in memory only. They do all that other runs do,
            and end with the process as if they had never been.
        chat: Each run with a session id is a turn of it: ``ctx.state`` is that of the session.
        triggers: As :func:`agnt5.triggers.parse_triggers` says, like all that follow.
        cron: When it starts.
        cron_timezone: The zone in which that is meant.
        cron_missed: What becomes of times that pass while no runtime is open.
        webhook: Whether webhooks may be delivered to it by its name.
        webhook_secret: With what its webhooks are signed.

    Raises:
        ConfigurationError: When a setting is wrong.
        ValueError: When a trigger is wrong.
    """
    _check_timeout(what, timeout)
    _check_texts(what, queue=queue, version=version)
    _check_flags(what, default=default, enable_durability=enable_durability, chat=chat)
    starts = parse_triggers(
        triggers, cron, cron_timezone, cron_missed, webhook=webhook, webhook_secret=webhook_secret
    )
    settings = {"timeout_s": timeout, "queue": queue, "version": version, "default": default}
    return {**settings, "triggers": starts, "durable": enable_durability, "chat": chat}


def _check_timeout(what: str, timeout: float | None) -> None:
    if timeout is None:
        return
    known = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not known or not 0 < timeout < math.inf:
        msg = f"{what}: timeout takes seconds, more than 0, not {timeout!r}"
        raise ConfigurationError(msg)


def _check_texts(what: str, **texts: str | None) -> None:
    for option, text in texts.items():
        good = isinstance(text, str) and text.strip() and text.isprintable()
        if text is not None and not good:
            msg = f"{what}: {option} takes a printable text that is not empty, not {text!r}"
            raise ConfigurationError(msg)


def _check_flags(what: str, **flags: object) -> None:
    for option, value in flags.items():
        if not isinstance(value, bool):
            msg = f"{what}: {option} takes True or False, not {value!r}"
            raise ConfigurationError(msg)
