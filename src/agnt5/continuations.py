"""A workflow that never ends, in runs that do: ``ctx.continue_as_new``."""

from __future__ import annotations

from typing import Any, NoReturn

from agnt5.actors.continuation import Continuation
from agnt5.body_context import BodyContext
from agnt5.events.keys import is_of_update
from agnt5.exceptions import InvalidInputError
from agnt5.payloads import encode
from agnt5.registry import WorkflowRegistry

_SHOWN = 5


class Continuations(BodyContext):
    """The end of a run that goes on."""

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """End this run, and go on as a new run of the same workflow with this input.

        The end of the one and the beginning of the other are one record: there is no moment in
        which there is none of them, or both. The new run has a history of its own, so that a loop
        that turns for years stays as small as one turn. It has the session, the user, the queue,
        the priority and the metadata of this one, its ``ctx.state`` as it is now (call
        ``ctx.state.clear()`` before to begin without), and the signals that came and were not
        consumed. It begins with the code that is registered now, in its default version. Whoever
        waits for the result of this run waits for that of the last one of the chain.

        It never returns: it raises what ``except Exception`` does not catch. ``finally`` blocks
        run, and may make durable calls.

        Args:
            args: The arguments of the workflow for the new run.
            kwargs: Its arguments by name.

        Raises:
            InvalidInputError: When calls are open that would be lost, when it is called in a task
                that the body made or in a step, or when the types of the arguments do not fit.
            TypeError: When the arguments do not fit.
            PayloadError: When they cannot be recorded.

        >>> from agnt5 import Runtime, WorkflowContext, workflow
        >>> @workflow
        ... async def count(ctx: WorkflowContext, n: int = 0) -> int:
        ...     if n == 3:
        ...         return n
        ...     ctx.continue_as_new(n + 1)
        """
        script, name = self.script, self.info.name
        self._check_place()
        component = WorkflowRegistry.get(name) or WorkflowRegistry.pinned(name, None)
        if component is None:
            msg = f"workflow {name!r} is not registered here any more, so that nothing could go on"
            raise InvalidInputError(msg)
        given = component.name_arguments(args, kwargs)
        component.check_input(given)
        where = f"input of the run that continues run {self.run_id}"
        recorded = encode(given, where=where)
        script.check_size(recorded, where)
        label = component.definition().version_label
        raise Continuation(recorded, dict(script.values.seen_from("")), label)

    def _check_place(self) -> None:
        script = self.script
        if script.place().path:
            msg = (
                f"run {self.run_id}: ctx.continue_as_new ends the whole run, so call it from the"
                " body of the workflow itself, not from a task that the body made, a step, or the"
                " handler of an update"
            )
            raise InvalidInputError(msg)
        futures = script.futures.items()
        still = [key for key, each in futures if not each.outlives and not is_of_update(key)]
        if still:
            more = f" and {len(still) - _SHOWN} more" if len(still) > _SHOWN else ""
            msg = (
                f"run {self.run_id}: ctx.continue_as_new was called while these calls are open:"
                f" {', '.join(map(repr, still[:_SHOWN]))}{more}. They would be lost: await them,"
                " or cancel them and what waits for them; start a child that shall go on by itself"
                " with on_parent_end='abandon'"
            )
            raise InvalidInputError(msg)
