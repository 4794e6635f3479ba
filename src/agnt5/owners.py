"""Who has a store open, or had it last, in words."""

from __future__ import annotations

from agnt5.answers import when
from agnt5.events.leases import Ownership


def owner_text(found: Ownership) -> str:
    """Half a sentence."""
    since = "" if found.since is None else f" since {when(found.since):%Y-%m-%d %H:%M:%S} UTC"
    if found.is_open is None:
        named = "" if found.owner is None else f"; {found.owner} had it last, and may still"
        return f"it cannot be told from here who has it open{named}"
    if found.is_open:
        who = "a process" if found.pid is None else f"process {found.pid}"
        named = "" if found.owner is None else f" ({found.owner})"
        return f"{who}{named} has it open{since}"
    if found.has_expired:
        return f"nobody has it open; {found.owner} had it{since}, and ended without releasing it"
    return "nobody has it open"
