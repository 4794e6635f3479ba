"""A logger that takes fields as keywords, and is silent on replay."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, ClassVar


class ContextLogger(logging.LoggerAdapter["logging.Logger"]):
    """A standard logger that also takes fields as keywords, and is silent on replay.

    A record has its fields in ``record.agnt5``, with ``run_id``, ``attempt``, ``trace_id`` and, in
    the function of a step, ``step``. These four are also attributes of their own, named as on
    spans: ``agnt5.run.id``, ``agnt5.attempt``, ``agnt5.trace.id``, ``agnt5.step.key``.

    >>> ContextLogger(logging.getLogger("doc"), {}).info("sent to %s", "Ada", channel="mail")
    """

    _KNOWN = frozenset({"exc_info", "stack_info", "stacklevel", "extra"})
    _ATTRIBUTES: ClassVar = {
        "run_id": "agnt5.run.id",
        "step": "agnt5.step.key",
        "attempt": "agnt5.attempt",
        "trace_id": "agnt5.trace.id",
    }
    """What a record says as spans do, so that both are found by the same names."""

    def __init__(
        self,
        logger: logging.Logger,
        fields: Mapping[str, object],
        is_silent: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(logger, fields)
        self._is_silent = is_silent

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Move unknown keywords into the record's fields."""
        given = {k: kwargs.pop(k) for k in list(kwargs) if k not in self._KNOWN}
        known = self.extra or {}
        flat = {self._ATTRIBUTES[k]: v for k, v in known.items() if k in self._ATTRIBUTES}
        kwargs["extra"] = {**kwargs.get("extra", {}), "agnt5": {**known, **given}, **flat}
        if given:
            shown = " ".join(f"{k}={v!r}" for k, v in given.items())
            msg = f"{msg} [{shown}]" if isinstance(msg, str) else msg
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a record, unless on replay; all other methods come here."""
        if not self.isEnabledFor(level):
            return
        said, named = self.process(msg, kwargs)
        if args and isinstance(msg, str) and said is not msg:
            # What stands behind the message is no part of its format.
            said = msg + str(said).removeprefix(msg).replace("%", "%%")
        named["stacklevel"] = named.get("stacklevel", 1) + 1  # of whoever calls, not of this line
        self.logger.log(level, said, *args, **named)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's own name
        """Whether a record of this level goes anywhere; never on replay."""
        return not self._is_silent() and super().isEnabledFor(level)
