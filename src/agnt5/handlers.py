"""What a workflow answers to people outside while it goes on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from agnt5.body_context import BodyContext


class HandlerCalls(BodyContext):
    """Handlers of queries and updates."""

    def set_query_handler(self, name: str, handler: Callable[..., object]) -> None:
        """Answer the queries of this name from now on. See :meth:`Client.query`.

        Args:
            name: The name.
            handler: An ordinary function. It is called on the event loop while the body is at
                rest, with what the client gives, and must change nothing; a durable call in it
                raises. Its value must be one that may be recorded, though it is not.

        Raises:
            ValueError: When the name is no text, or the handler no ordinary function.

        >>> async def order(ctx):
        ...     items = []
        ...     ctx.set_query_handler("count", lambda: len(items))
        """
        _check(name, handler, "query")
        if inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler):
            msg = (
                f"the handler of the query {name!r} must be an ordinary function, not 'async def':"
                " it looks at what the body has and waits for nothing"
            )
            raise ValueError(msg)
        self.script.handlers.queries[name] = handler

    def set_update_handler(
        self,
        name: str,
        handler: Callable[[Any], object],
        *,
        validator: Callable[[Any], object] | None = None,
    ) -> None:
        """Handle the updates of this name from now on. See :meth:`Client.update`.

        Args:
            name: The name.
            handler: A function, ``async`` or not, of the payload. It runs beside the body, may
                change what the body has and make durable calls; what it returns or raises is
                recorded and reaches the client.
            validator: An ordinary function of the payload. It refuses an update, before anything
                is recorded, by raising or by returning False; it must change nothing.

        Raises:
            ValueError: When the name is no text, or a handler no function.
        """
        _check(name, handler, "update")
        if validator is not None:
            _check(name, validator, "update")
            if inspect.iscoroutinefunction(validator):
                msg = f"the validator of the update {name!r} must be an ordinary function"
                raise ValueError(msg)
        self.script.handlers.set_update(name, handler, validator)


def _check(name: object, handler: object, what: str) -> None:
    if not isinstance(name, str) or not name:
        msg = f"the name of a {what} must be a text that is not empty, not {name!r}"
        raise ValueError(msg)
    if not callable(handler):
        msg = f"the handler of the {what} {name!r} must be a function, not {handler!r}"
        raise ValueError(msg)
