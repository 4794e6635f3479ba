"""Which files ``agnt5 check`` looks at, and their text and settings, from the disk."""

from __future__ import annotations

import os
import tokenize
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, cast

from agnt5.checking import Settings, settings_of
from agnt5.cli.exits import CommandError

LARGEST: Final = 5_000_000
"""Bytes of a file that is looked at; nobody writes more by hand."""
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})
"""Folders that hold no source of the project; so do those whose name begins with a dot."""


def project_file(config: Path | None) -> Path | None:
    """The pyproject.toml to read: the one given, or the nearest from this folder upwards."""
    if config is not None:
        return config
    here = Path.cwd()
    near = (folder / "pyproject.toml" for folder in (here, *here.parents))
    return next((path for path in near if path.is_file()), None)


def settings_from(project: Path | None) -> Settings:
    """The settings in a pyproject.toml; the default ones without a file or a table in it.

    Raises:
        CommandError: When the file is not there, or is no TOML.
        ConfigurationError: When its table is wrong.
    """
    if project is None:
        return Settings()
    try:
        document = tomllib.loads(project.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{project} cannot be read as TOML: {error}") from error
    table: object = document
    for key in ("tool", "agnt5", "check"):
        table = cast("dict[str, object]", table).get(key, {})
        if not isinstance(table, dict):
            raise CommandError(f"{project}: [tool.agnt5.check] must be a table, not {table!r}")
    return settings_of(cast("dict[str, object]", table))


def files_in(paths: Sequence[str], settings: Settings, root: Path) -> list[str]:
    """The Python files that paths name: a file itself, and all in a folder but what is excluded.

    Args:
        paths: Files and folders.
        settings: What is excluded.
        root: The folder as seen from which patterns are held against paths.

    Raises:
        CommandError: When a path is not there.
    """
    found: dict[str, None] = {}
    for given in paths:
        path = Path(given)
        if path.is_file():
            found[str(path)] = None
        elif path.is_dir():
            found.update(dict.fromkeys(_walk(path, settings, root.resolve())))
        else:
            raise CommandError(f"there is no file or folder {given!r}")
    return list(found)


def _walk(folder: Path, settings: Settings, root: Path) -> Iterator[str]:
    def is_excluded(path: Path) -> bool:
        full = path.resolve()
        seen = full.relative_to(root) if full.is_relative_to(root) else full
        return settings.excludes(seen.as_posix())

    for place, folders, names in os.walk(folder):
        base = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and not is_excluded(base / name)
            and not (base / name / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            path = base / name
            if name.endswith(".py") and not is_excluded(path):
                yield str(path)


def text_of(path: str) -> str:
    """The text of a source, in the encoding that it says it has.

    Raises:
        CommandError: When it cannot be read, or is beyond the largest size.
        SyntaxError: When it says a wrong encoding.
        ValueError: When it is not in the encoding that it says.
    """
    try:
        size = Path(path).stat().st_size
        if size > LARGEST:
            raise CommandError(
                f"{path} has {size} bytes; files of more than {LARGEST} are not looked at:"
                " exclude it"
            )
        with tokenize.open(path) as file:
            return file.read()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from error
