"""What a caller wants to have run, and whether it may."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from agnt5.exceptions import InvalidInputError, UnknownComponentError
from agnt5.names import check_run_id, check_text
from agnt5.payloads import encode_error
from agnt5.registry import Component, RegisteredComponents, WorkflowComponent
from agnt5.types import ComponentKind

_MAX_KEY = 512
_MAX_PRIORITY = 1_000_000


@dataclass(slots=True)
class NewRun:
    """What a caller wants to have run."""

    component: str
    input_data: Mapping[str, Any] | None = None
    kind: str = "function"
    run_id: str | None = None
    idempotency_key: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    queue: str | None = None
    priority: int = 0
    deduplication_id: str | None = None
    version: str | None = None
    origin: Mapping[str, JsonValue] | None = None
    """What starts it, when that is a trigger."""
    delivery: str | None = None
    """Starts at most one run of this component, in place of an idempotency key: even a run that has
    failed is not replaced, since whoever delivers will deliver again."""

    @property
    def key(self) -> str | None:
        """What the run is known by."""
        if self.delivery is None:
            return self.idempotency_key
        # No key of a user is like it: theirs are printable.
        return f"\t{self.delivery}"


def check_new_run(new: NewRun, components: RegisteredComponents) -> Component:
    """The component that is meant, if everything about the run is in order.

    Raises:
        UnknownComponentError: When there is no such component.
        InvalidInputError: When anything else is wrong. Nothing was written.
    """
    try:
        kind = ComponentKind(new.kind)
    except ValueError:
        msg = f"unknown component_type {new.kind!r}; known: 'function', 'workflow'"
        raise InvalidInputError(msg) from None
    if not isinstance(new.component, str):
        raise InvalidInputError(f"the name of a component is a text, not {new.component!r}")
    check_text(new.version, "version", _MAX_KEY)
    component = components.component(kind, new.component, new.version)
    if component is None:
        hint = components.hint(kind, new.component)
        label = "" if new.version is None else f"version {new.version!r} of a "
        msg = f"no {label}{kind} named {new.component!r} is registered here. {hint}"
        raise UnknownComponentError(msg)
    check_text(new.idempotency_key, "idempotency_key", _MAX_KEY)
    check_run_id(new.run_id)
    check_text(new.session_id, "session_id", _MAX_KEY)
    check_text(new.user_id, "user_id", _MAX_KEY)
    check_text(new.deduplication_id, "deduplication_id", _MAX_KEY)
    if isinstance(new.priority, bool) or not isinstance(new.priority, int):
        msg = f"a priority is a whole number, the greater first; not {new.priority!r}"
        raise InvalidInputError(msg)
    if abs(new.priority) > _MAX_PRIORITY:
        msg = f"a priority lies between -{_MAX_PRIORITY} and {_MAX_PRIORITY}, not {new.priority}"
        raise InvalidInputError(msg)
    given = {} if new.input_data is None else new.input_data
    ours = (f"the input of {new.component!r}", "the metadata of a run")
    for what, value in zip(ours, (given, new.metadata or {}), strict=True):
        if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
            msg = f"{what} must be an object: a dict with texts as keys; not {value!r:.80}"
            raise InvalidInputError(msg)
    if new.origin is None:
        component.check_input(given)
    return component


def queue_of(new: NewRun, component: Component, known: Collection[str]) -> str | None:
    """The queue that a run belongs to, if any.

    Raises:
        InvalidInputError: When there is no queue of that name.
    """
    queue = new.queue
    if queue is None and isinstance(component, WorkflowComponent):
        queue = component.queue
    if queue is None or queue in known:
        return queue
    names = ", ".join(map(repr, known)) or "none"
    msg = (
        f"there is no queue {queue!r}; the queues of this runtime: {names}. Name it in"
        f" Runtime(queues=[Queue({queue!r})])"
    )
    raise InvalidInputError(msg)


def origin_of(new: NewRun, component: Component) -> dict[str, JsonValue] | None:
    """What started the run, and what is wrong with its input if it was a trigger.

    Nobody waits for such a run who could be told: it is recorded, and fails when it begins.
    """
    if new.origin is None:
        return None
    origin = dict(new.origin)
    try:
        component.check_input(new.input_data or {})
    except InvalidInputError as error:
        what = f"{origin.get('type')} {origin.get('name')!r} cannot start it: {error}"
        origin["error"] = encode_error(InvalidInputError(what))
    return origin


def taken(run_id: str) -> InvalidInputError:
    """The error of an id that a run has already."""
    return InvalidInputError(f"a run with the id {run_id!r} is already in this store")
