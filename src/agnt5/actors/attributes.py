"""The attributes of one object as what steps may change; see :mod:`agnt5.actors.images`."""

from __future__ import annotations

from pydantic import JsonValue

from agnt5.actors.images import GONE, OPAQUE, picture, rewrite
from agnt5.actors.ports import After
from agnt5.exceptions import PayloadError
from agnt5.payloads import decode


class Attributes:
    """The attributes of one object, as section ``self`` of an after-image.

    Those that cannot be recorded (a connection, a lock) are left to the code that makes them.
    """

    __slots__ = ("_hidden", "_owner")

    def __init__(self, owner: object, hidden: str) -> None:
        self._owner = owner
        self._hidden = hidden
        """How the names begin that are not the user's."""

    def capture(self) -> After:
        """Images of the attributes as they are now."""
        images: dict[str, JsonValue] = {}
        for name, value in vars(self._owner).items():
            if not name.startswith(self._hidden):
                try:
                    images[name] = picture(value)
                except PayloadError:
                    images[name] = OPAQUE
        return {"self": images}

    def restore(self, after: After) -> None:
        """Put the recorded ones back; dicts, lists and the like are changed in place."""
        own, section = vars(self._owner), after.get("self")
        for name, image in section.items() if isinstance(section, dict) else ():
            if image == GONE:
                own.pop(name, None)
            elif image != OPAQUE:
                value = decode(image, where=f"attribute {name!r}, which a step has changed")
                own[name] = rewrite(own[name], value) if name in own else value
