"""How a body says that its run goes on as a new one."""

from __future__ import annotations

from pydantic import JsonValue

from agnt5.events.run.commands import ContinueRun


class Continuation(BaseException):
    """Ends a body whose run goes on as a new run with another input.

    A ``BaseException``, so that ``except Exception`` in user code cannot swallow it; ``finally``
    blocks run, and may make durable calls.
    """

    def __init__(
        self, given: JsonValue, state: dict[str, JsonValue], version_label: str | None
    ) -> None:
        super().__init__("the run goes on as a new run")
        self.command = ContinueRun(given, state, version_label=version_label)
