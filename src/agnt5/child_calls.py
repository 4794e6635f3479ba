"""Child runs: a workflow that starts runs of their own and waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agnt5.actors.branch import StepFuture
from agnt5.body_context import BodyContext
from agnt5.calls import line_of
from agnt5.events.keys import chosen_key, operation_key
from agnt5.events.run import commands as c
from agnt5.events.run.children import id_of_child
from agnt5.exceptions import InvalidInputError, UnknownComponentError
from agnt5.names import check_name, check_run_id
from agnt5.payloads import encode
from agnt5.registry import (
    Component,
    FunctionComponent,
    FunctionRegistry,
    WorkflowComponent,
    WorkflowRegistry,
)

ON_PARENT_END = ("cancel", "abandon")


@dataclass(slots=True)
class _Wish:
    """A child that is wanted, checked."""

    kind: str
    name: str
    given: dict[str, object]
    run_id: str | None
    on_parent_end: str
    key: str | None
    line: str


class ChildCalls(BodyContext):
    """Children: runs of their own, with a log, a status and an id of their own."""

    def child(
        self,
        target: object,
        *args: Any,
        run_id: str | None = None,
        on_parent_end: str = "cancel",
        key: str | None = None,
        **kwargs: Any,
    ) -> StepFuture:
        """Start a workflow or a function as a run of its own, and wait for its result if you like.

        The child's session, user and metadata are those of this run. This run may leave memory
        while it waits. A child that fails raises its own exception here. To stop waiting (a
        timeout, a cancelled task) is to cancel the child, unless it may be abandoned.

        Args:
            target: A ``@workflow`` or ``@function``, or the name of one.
            args: Its arguments.
            run_id: An id of your own for the child, unique in the store; by default one that
                follows from this run and this call.
            on_parent_end: When this run ends first, or no longer waits: ``"cancel"`` the child, or
                ``"abandon"`` it, so that it goes on by itself.
            key: An identity of your own instead of the count; the same key is the same child.
            kwargs: Its arguments by name.

        Returns:
            An awaitable of the child's output, with the id of the child as ``run_id``.

        Raises:
            UnknownComponentError: When there is no such workflow or function.
            TypeError: When the arguments do not fit.
            InvalidInputError: When their types do not fit, or run_id cannot be one.
            ValueError: When another argument is wrong.
            PayloadError: When the arguments cannot be recorded.
        """
        if on_parent_end not in ON_PARENT_END:
            msg = f"on_parent_end is 'cancel' or 'abandon', not {on_parent_end!r}"
            raise ValueError(msg)
        check_run_id(run_id)
        kind, component = _component(target)
        given = component.name_arguments(args, kwargs)
        component.check_input(given)
        wish = _Wish(kind, component.name, given, run_id, on_parent_end, key, line_of(2))
        return self._ask(wish)

    def _ask(self, wish: _Wish) -> StepFuture:
        script, name = self.script, wish.name
        identity = self._identity(name, wish.key)
        child = id_of_child(script.state, identity, wish.run_id)
        if child == self.run_id:
            msg = f"a run cannot be its own child: run_id {child!r} is the id of this run"
            raise InvalidInputError(msg)

        def command() -> c.RequestChild:
            where = f"arguments of child {name!r} ({identity!r})"
            recorded = encode(wish.given, where=where)
            script.check_size(recorded, where)
            return c.RequestChild(
                identity, child, name, wish.kind, recorded, wish.on_parent_end, wish.line
            )

        has_key = wish.key is not None
        future = script.request(identity, command, line=wish.line, chosen=has_key)
        future.run_id = child
        future.outlives = wish.on_parent_end == "abandon"
        return future

    def _identity(self, name: str, key: str | None) -> str:
        branch, label = self.script.place(), f"child:{name}"
        if key is None:
            return operation_key(branch.path, label, branch.occurrence(label))
        check_name(key, f"the key of child {name!r}")
        return chosen_key(branch.path, label, key)


def _component(target: object) -> tuple[str, Component]:
    """What is meant, and of which kind it is."""
    if isinstance(target, WorkflowComponent):
        return "workflow", target
    if isinstance(target, FunctionComponent):
        return "function", target
    if not isinstance(target, str):
        msg = f"ctx.child takes a @workflow, a @function or the name of one, not {target!r}"
        raise ValueError(msg)
    workflow = WorkflowRegistry.get(target)
    if workflow is not None:
        return "workflow", workflow
    function = FunctionRegistry.get(target)
    if function is not None:
        return "function", function
    msg = (
        f"no workflow and no function named {target!r} is registered here."
        f" {WorkflowRegistry.hint(target)} {FunctionRegistry.hint(target)}"
    )
    raise UnknownComponentError(msg)
