"""What every part of a workflow's context rests on: the script that hosts the body."""

from __future__ import annotations

from agnt5.actors.branch import CURRENT
from agnt5.actors.ports import AttemptInfo, Images
from agnt5.actors.script import Script
from agnt5.emitting import is_ephemeral
from agnt5.events.keys import SCOPE, operation_key
from agnt5.events.run.facts import EventEmitted
from agnt5.function_context import Context
from agnt5.payloads import encode


class BodyContext(Context):
    """The context of a body. :mod:`agnt5.context` joins its parts."""

    def __init__(self, script: Script, info: AttemptInfo) -> None:
        super().__init__(
            info.run_id,
            session_id=info.session_id,
            component_name=info.name,
            metadata=info.metadata,
        )
        self._metadata_is_recorded = True
        self.script = script
        self.info = info
        branch = CURRENT.get()
        self.scope = "" if branch is None else branch.path[: branch.path.rfind(SCOPE) + 1]
        """The inline step that the body is; empty for the body of the run itself."""
        self.images: Images | None = None
        """What every inline step may change beside its arguments: a class workflow's attributes."""
        self.speaker = info

    def _emit(self, event_type: str, data: object) -> None:
        if is_ephemeral(event_type):
            self._say(event_type, data)
            return
        script, label = self.script, f"emit:{event_type}"
        payload = encode(data, where=f"data of event {event_type!r}")
        script.check_size(payload, f"data of event {event_type!r}")
        branch = script.place()
        key = operation_key(branch.path, label, branch.occurrence(label))
        script.note(EventEmitted(key=key, event_type=event_type, payload=payload))

    @property
    def _is_replay(self) -> bool:
        return self.script.replaying

    def _is_silent(self) -> bool:
        return self.script.replaying or self.script.closed
