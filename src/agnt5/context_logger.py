"""A logger that takes fields as keywords, and is silent on replay."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any


class ContextLogger(logging.LoggerAdapter["logging.Logger"]):
    """A standard logger that also takes fields as keywords, and is silent on replay.

    >>> ContextLogger(logging.getLogger("doc"), {}).info("sent to %s", "Ada", channel="mail")
    """

    _KNOWN = frozenset({"exc_info", "stack_info", "stacklevel", "extra"})

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
        fields = {**(self.extra or {}), **given}
        kwargs["extra"] = {**kwargs.get("extra", {}), "agnt5": fields}
        if given:
            shown = " ".join(f"{k}={v!r}" for k, v in given.items()).replace("%", "%%")
            msg = f"{msg} [{shown}]" if isinstance(msg, str) else msg
        return msg, kwargs

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's own name
        """Whether a record of this level goes anywhere; never on replay."""
        return not self._is_silent() and super().isEnabledFor(level)
