"""Where names for new things come from: the only dice in the house."""

from __future__ import annotations

import secrets
import threading
import time
from itertools import count


class Ids:
    """Makes ids. Run ids sort by time, since random ones cost a store five times the work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._prefix = secrets.token_hex(5)
        self._events = count()

    def run_id(self) -> str:
        """26 hex digits: microseconds since the epoch, then chance."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1000)
            return f"{self._last:014x}{secrets.token_hex(6)}"

    def event_id(self) -> str:
        """Unique among all processes; short, since there is one per fact."""
        return f"{self._prefix}{next(self._events):x}"
