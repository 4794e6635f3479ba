"""The rules: an id that never changes, how bad it is, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agnt5.checking.findings import Severity


@dataclass(frozen=True)
class Rule:
    """A rule.

    Args:
        id: Stable; it stands in comments and settings of users.
        name: A few words, for lists.
        severity: How bad a finding is.
        fix: What to write instead.
    """

    id: str
    name: str
    severity: Severity
    fix: str


_ALL = (
    Rule("AG001", "not Python", "error", "mend the syntax; nothing of the file was looked at"),
    Rule("AG002", "unused ignore", "warning", "remove the comment"),
    Rule("AG101", "clock", "error", "use ctx.now(), or read the clock in a step"),
    Rule(
        "AG102",
        "chance",
        "error",
        "use ctx.random(); what must be secret comes from a step",
    ),
    Rule("AG103", "identifiers", "error", "use ctx.uuid4()"),
    Rule(
        "AG104",
        "environment",
        "warning",
        "read it in a step, or pass it as an input of the workflow",
    ),
    Rule("AG105", "id() and hash()", "error", "use a value of your own as key, such as a name"),
    Rule("AG106", "order of a set", "error", "put sorted(...) around the set, or use a list"),
    Rule("AG201", "real sleep", "warning", "use ctx.sleep(seconds), which survives a restart"),
    Rule(
        "AG202",
        "real timeout",
        "error",
        "use 'async with ctx.timeout(seconds)', or ctx.step(..., timeout=seconds)",
    ),
    Rule("AG301", "files", "error", "read and write files in a step"),
    Rule("AG302", "network and databases", "error", "talk to the network in a step"),
    Rule(
        "AG303",
        "processes and console",
        "error",
        "do it in a step; ask people by ctx.wait_for_user",
    ),
    Rule(
        "AG401",
        "threads",
        "error",
        "make the function a plain 'def' with @function, and call it by ctx.step: it gets a thread",
    ),
    Rule(
        "AG402",
        "task left behind",
        "warning",
        "await the task, or start it in an asyncio.TaskGroup",
    ),
    Rule("AG403", "durable call not awaited", "error", "await it"),
    Rule(
        "AG404",
        "cancellation swallowed",
        "error",
        "catch Exception, or end the handler with 'raise'",
    ),
    Rule(
        "AG501",
        "global changed",
        "error",
        "keep it in a variable of the body, in ctx.state, in ctx.session.state, or in an entity",
    ),
    Rule("AG502", "closure changed by a step", "error", "let the step return it"),
    Rule("AG503", "cache of a body", "error", "remove the cache: steps are remembered already"),
    Rule("AG504", "unstable step name", "error", "name the step by what it is about"),
    Rule(
        "AG505",
        "one key for many steps",
        "error",
        "put what differs into the key, or leave the key out",
    ),
    Rule("AG601", "function called directly", "error", "call it by ctx.step(function, ...)"),
)

RULES: Final[dict[str, Rule]] = {rule.id: rule for rule in _ALL}
"""All rules by id, in the order of the ids."""
