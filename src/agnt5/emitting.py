"""``ctx.progress`` and ``ctx.emit``: what user code says while it is under way."""

from __future__ import annotations

import math

from agnt5.actors.ports import AttemptInfo
from agnt5.exceptions import InvalidInputError
from agnt5.payloads import encode

_EPHEMERAL = (
    "output.",
    "lm.stream.",
    "lm.content_block.",
    "lm.message.",
    "lm.thinking.",
    "lm.tool_call.",
    "progress.",
    "log.",
)
_OURS = (
    "run.",
    "workflow.",
    "function.",
    "timer.",
    "signal.",
    "operation.",
    "approval.",
    "child.",
    "update.",
    "marker.",
)
"""The vocabulary of the log itself: only what has happened may be called so."""


def is_ephemeral(event_type: str) -> bool:
    """Whether events of this type are for listeners only, and never recorded."""
    return event_type.startswith(_EPHEMERAL) or event_type in {"progress", "log"}


class Emitting:
    """What every context can say."""

    speaker: AttemptInfo | None = None
    """The attempt or body that speaks; None outside of a run."""

    def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Tell those who listen to the run how far it is; never recorded.

        Args:
            progress: How much is done, in a unit of your own.
            total: How much there is to do in all.
            message: A few words.

        Raises:
            InvalidInputError: When a number is none, or is not finite.
        """
        for name, number in (("progress", progress), ("total", total)):
            if number is None and name == "total":
                continue
            fits = isinstance(number, int | float) and not isinstance(number, bool)
            if not fits or not math.isfinite(number or 0):
                msg = f"ctx.progress: {name} must be a finite number, not {number!r}"
                raise InvalidInputError(msg)
        if message is not None and not isinstance(message, str):
            msg = f"ctx.progress: message must be a text, not {message!r}"
            raise InvalidInputError(msg)
        self._say("progress.updated", {"progress": progress, "total": total, "message": message})

    def emit(self, event_type: object, data: object = None) -> None:
        """Tell the world something.

        Events whose type begins with ``output.``, ``progress.``, ``log.`` or one of the ``lm.``
        prefixes are for those who listen to the run. All others are recorded when a workflow's
        body emits them; in a function they too are only heard, since its result is what is
        recorded.

        Args:
            event_type: A dotted name such as ``order.paid``; or an event, which has one.
            data: What there is to say; anything that may be recorded.

        Raises:
            InvalidInputError: When the type is no such name, or belongs to the log.
            PayloadError: When the data cannot be recorded.
        """
        if not isinstance(event_type, str):
            if data is None:
                data = getattr(event_type, "data", getattr(event_type, "output_data", None))
            event_type = getattr(event_type, "event_type", event_type)
        if not isinstance(event_type, str) or not event_type or not event_type.isprintable():
            msg = f"the type of an event is a printable text, not {event_type!r}"
            raise InvalidInputError(msg)
        if event_type.startswith(_OURS):
            msg = (
                f"events of the type {event_type!r} are made by the log itself: choose a name of"
                " your own, such as 'order.paid'"
            )
            raise InvalidInputError(msg)
        self._emit(event_type, data)

    def _emit(self, event_type: str, data: object) -> None:
        self._say(event_type, data)

    def _say(self, event_type: str, data: object) -> None:
        speaker = self.speaker
        encoded = encode(data, where=f"data of event {event_type!r}")
        if speaker is not None and speaker.streams is not None and not self._is_silent():
            streams = speaker.streams
            streams.say(speaker.run_id, event_type, speaker.key, speaker.attempt, encoded)

    def _is_silent(self) -> bool:
        return False
