"""What every part of a workflow's context rests on: the script that hosts the body."""

from __future__ import annotations

from agnt5.actors.ports import AttemptInfo, Images
from agnt5.actors.script import Script
from agnt5.function_context import Context


class BodyContext(Context):
    """The context of a body. :mod:`agnt5.context` joins its parts."""

    def __init__(self, script: Script, info: AttemptInfo) -> None:
        super().__init__(
            info.run_id,
            session_id=info.session_id,
            component_name=info.name,
            metadata=info.metadata,
        )
        self.script = script
        self.info = info
        self.images: Images | None = None
        """What every inline step may change beside its arguments: a class workflow's attributes."""

    @property
    def _is_replay(self) -> bool:
        return self.script.replaying

    def _is_silent(self) -> bool:
        return self.script.replaying or self.script.closed
