"""Which rules apply, to which files, and what fails: ``[tool.agnt5.check]`` and options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from typing import Literal, cast

from agnt5.checking.rules import RULES
from agnt5.exceptions import ConfigurationError

FailOn = Literal["warning", "error", "never"]
_LISTS = ("select", "ignore", "exclude")
_FAIL_ON: tuple[FailOn, ...] = ("warning", "error", "never")


@dataclass(frozen=True)
class Settings:
    """What to look for, and where.

    Args:
        select: Ids of rules, or beginnings of ids such as ``AG1``; empty for all.
        ignore: The same, for rules that do not apply. It wins over ``select``.
        exclude: Patterns of paths, as the shell has them, that are not looked at.
        fail_on: The least severity with which the command fails.

    Raises:
        ConfigurationError: When there is no such rule.

    >>> sorted(Settings(select=("AG10",), ignore=("AG104",)).rules())
    ['AG001', 'AG101', 'AG102', 'AG103', 'AG105', 'AG106']
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    fail_on: FailOn = "warning"

    def __post_init__(self) -> None:
        for given in (*self.select, *self.ignore):
            if not any(rule.startswith(given) for rule in RULES):
                near = get_close_matches(given, RULES, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(RULES)}"
                raise ConfigurationError(f"there is no rule {given!r}; {hint}")

    def rules(self) -> frozenset[str]:
        """The ids of the rules that apply. That a file is no Python is always said."""
        chosen = [r for r in RULES if not self.select or r.startswith(self.select)]
        kept = {r for r in chosen if not (self.ignore and r.startswith(self.ignore))}
        return frozenset(kept | {"AG001"})

    def excludes(self, path: str) -> bool:
        """Whether a path, with slashes, or a folder that it lies in, is excluded."""
        parts = path.split("/")
        ways = ["/".join(parts[: at + 1]) for at in range(len(parts))]
        return any(
            fnmatch(way, pattern.rstrip("/")) or fnmatch(part, pattern.rstrip("/"))
            for pattern in self.exclude
            for way, part in zip(ways, parts, strict=True)
        )


def settings_of(table: Mapping[str, object]) -> Settings:
    """Read the table ``[tool.agnt5.check]``.

    Args:
        table: ``select``, ``ignore`` and ``exclude`` are lists of texts, ``fail-on`` is
            ``"warning"``, ``"error"`` or ``"never"``.

    Raises:
        ConfigurationError: When a key or a value is not one of these.
    """
    for key in table:
        if key not in {*_LISTS, "fail-on"}:
            near = get_close_matches(key, [*_LISTS, "fail-on"], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"[tool.agnt5.check] has no key {key!r}.{hint}")
    lists = {key: _texts(key, table[key]) for key in _LISTS if key in table}
    given = table.get("fail-on", "warning")
    fail_on: FailOn | None = next((each for each in _FAIL_ON if each == given), None)
    if fail_on is None:
        raise ConfigurationError(
            f"[tool.agnt5.check] fail-on is one of {', '.join(_FAIL_ON)}, not {given!r}"
        )
    return Settings(**lists, fail_on=fail_on)


def _texts(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ConfigurationError(f"[tool.agnt5.check] {key} must be a list of texts, not {value!r}")
    return tuple(cast("Iterable[str]", value))
