"""Many exported histories, replayed on the code that is here: may it be deployed?"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from agnt5.exceptions import ConfigurationError, InvalidInputError
from agnt5.histories import MAX_BYTES, History
from agnt5.history_forms import read_form
from agnt5.registry import Component, RegisteredComponents
from agnt5.testing.replay import (
    PATIENCE_S,
    STALL_LIMIT_S,
    ReplayReport,
    Verdict,
    component_of,
    missing,
    replay_async,
)


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """What came of many histories.

    Attributes:
        reports: One per history, in the order of the files.
        skipped: Ids of runs of other components than the one that was given.
    """

    reports: tuple[ReplayReport, ...]
    skipped: tuple[str, ...] = ()

    def is_fine(self, *, strict: bool = False) -> bool:
        """Whether every run can go on; ``strict``: and does just the same again."""
        return all(each.is_exact if strict else each.is_compatible for each in self.reports)

    @property
    def counts(self) -> dict[str, int]:
        """How many histories came to each verdict."""
        found = Counter(str(each.verdict) for each in self.reports)
        return {str(verdict): found[str(verdict)] for verdict in Verdict}

    def text(self, *, verbose: bool = False) -> str:
        """The report for people: what needs something done, or differs; ``verbose``: everything."""
        shown = [str(each) for each in self.reports if verbose or not each.is_exact]
        counted = [f"{count} {verdict}" for verdict, count in self.counts.items() if count]
        different = sum(each.is_compatible and not each.is_exact for each in self.reports)
        if different:
            counted.append(f"{different} of the compatible ones with differences")
        if self.skipped:
            counted.append(f"{len(self.skipped)} skipped")
        total = f"{len(self.reports)} replayed: {', '.join(counted) or 'nothing'}"
        return "\n".join([*shown, total])

    def as_json(self) -> dict[str, JsonValue]:
        """The report for programs."""
        return {
            "counts": dict(self.counts),
            "skipped": list(self.skipped),
            "reports": [each.as_json() for each in self.reports],
        }


_ENDS = ("*.jsonl", "*.parquet")


def replay_corpus(
    paths: Iterable[str | os.PathLike[str]],
    against: object,
    *,
    stall_limit: float = STALL_LIMIT_S,
    patience: float = PATIENCE_S,
    max_bytes: int = MAX_BYTES,
) -> CorpusReport:
    """Replay every history of these files on the code that is here. Nothing is executed.

    Args:
        paths: Files that ``export_runs`` has written, and folders with files named ``*.jsonl`` or
            ``*.parquet``, which need the extra ``parquet``.
        against: ``"module:workflow"``, ``"module"`` (then every run is replayed on what the module
            registers under its name and version), or the workflow itself.
        stall_limit: As for :func:`agnt5.testing.replay.replay`.
        patience: The same, for one history.
        max_bytes: Refuse a larger file; 256 MiB by default.

    Raises:
        ConfigurationError: When there is no such module or workflow.
        InvalidInputError: When a file is wrong, with its line; or cannot be read; or there is none.
    """
    component = load(against) if isinstance(against, str) else component_of(against)
    files = list(_files(paths))
    if not files:
        raise InvalidInputError(
            "there is no file of histories (*.jsonl, *.parquet) among what was given"
        )

    async def each() -> CorpusReport:
        reports: list[ReplayReport] = []
        skipped: list[str] = []
        for file in files:
            for history in _read(file, max_bytes):
                code = _code_for(history, component)
                if code is None:
                    skipped.append(history.run_id)
                elif isinstance(code, ReplayReport):
                    reports.append(code)
                else:
                    options = {"stall_limit": stall_limit, "patience": patience}
                    reports.append(await replay_async(history, code, **options))
        return CorpusReport(tuple(reports), tuple(skipped))

    return asyncio.run(each())


def _read(path: Path, max_bytes: int) -> list[History]:
    try:
        return read_form(path, None, max_bytes)
    except OSError as error:
        raise InvalidInputError(f"{os.fspath(path)!r} cannot be read: {error}") from error


def load(target: str) -> Component | None:
    """The component that ``module:name`` names; None for a module alone, which is imported.

    Raises:
        ConfigurationError: When the module cannot be imported, or has no such workflow.
    """
    module_name, _, attribute = target.partition(":")
    here = os.fspath(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module_name)
    except Exception as error:
        msg = f"the module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        raise ConfigurationError(msg) from error
    for name in attribute.split(".") if attribute else ():
        if not hasattr(found, name):
            raise ConfigurationError(f"{target!r}: there is no {name!r} in {found!r:.200}")
        found = getattr(found, name)
    return component_of(found) if attribute else None


def _files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    for given in paths:
        path = Path(given)
        if path.is_dir():
            yield from sorted(file for end in _ENDS for file in path.rglob(end))
        elif path.exists():
            yield path
        else:
            raise InvalidInputError(f"there is no file {os.fspath(path)!r}")


def _code_for(history: History, component: Component | None) -> Component | ReplayReport | None:
    queued = history.queued
    if component is not None:
        definition = component.definition()
        same = (definition.kind, definition.name) == (queued.kind, queued.component)
        return component if same else None
    known = RegisteredComponents()
    version = queued.version_label
    found = known.component(queued.kind, queued.component, version)
    if found is not None:
        return found
    label = f" of version {version!r}" if version else ""
    hint = known.hint(queued.kind, queued.component)
    return missing(history, f"there is no {queued.kind} {queued.component!r}{label} here. {hint}")
