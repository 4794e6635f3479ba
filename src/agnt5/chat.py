"""Chat workflows: each run is a turn of its session, and ``ctx.state`` is what the session knows.

A turn reads the session in one recorded step before the body begins, and writes what the body has
changed in one step when it has returned, both or nothing: a turn that fails leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from pydantic import JsonValue

from agnt5.actors.entity import Change
from agnt5.actors.script import Script
from agnt5.entity_state import differs
from agnt5.events.entity.state import EntityState
from agnt5.exceptions import StateConflictError
from agnt5.scopes import SharedState


class _Turn(SharedState):
    """What one run does with the state of its session as a whole."""

    def __init__(self, script: Script, session_id: str) -> None:
        super().__init__(script, "session", session_id)
        self._before: Mapping[str, JsonValue] = {}
        self._known: Mapping[str, int] = {}

    async def begin(self) -> None:
        """Make the state of the session that of the run."""
        seen = await self._request("load", "", _load, "")
        self._before, self._known = seen["values"], seen["versions"]
        self._script.values.change("", self._before)

    async def end(self) -> None:
        """Write what was changed, if nobody else has changed it meanwhile.

        Raises:
            StateConflictError: When somebody has. Nothing was written.
        """
        before, now = self._before, self._script.values.now
        changes = {k: v for k, v in now.items() if k not in before or differs(v, before[k])}
        deleted = [name for name in before if name not in now]
        names = sorted([*changes, *deleted])
        if not names:
            return
        expected = {name: self._known.get(name, 0) for name in names}
        act = _save(changes, deleted, expected)
        seen = await self._request("save", ", ".join(names), act, "")
        if not seen.get("ok"):
            name = seen["conflict"]
            raise StateConflictError(self._scope, self._id, name, expected[name])


def _load(state: EntityState) -> Change:
    return Change({"values": dict(state.values), "versions": dict(state.versions)}, None)


def _save(
    changes: dict[str, JsonValue], deleted: list[str], expected: Mapping[str, int]
) -> Callable[[EntityState], Change]:
    def act(state: EntityState) -> Change:
        for name, version in expected.items():
            if state.versions.get(name, 0) != version:
                return Change({"conflict": name}, None, record=False)
        gone = [name for name in deleted if name in state.values]
        return Change({"ok": True}, {"ok": True}, changes, gone)

    return act


async def in_turn(
    script: Script, session_id: str, body: Callable[[], Coroutine[Any, Any, Any]]
) -> Any:
    """Run a body as a turn of a session."""
    turn = _Turn(script, session_id)
    await turn.begin()
    result = await body()
    await turn.end()
    return result
