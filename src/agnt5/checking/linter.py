"""The linter: sources in, findings out. It reads no file, and imports nothing of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from agnt5.checking.findings import Finding
from agnt5.checking.hits import Hit
from agnt5.checking.ignores import Ignore, ignores_of
from agnt5.checking.modules import Module
from agnt5.checking.order import order_of_sets
from agnt5.checking.program import Program
from agnt5.checking.regions import Region, regions
from agnt5.checking.rules import RULES
from agnt5.checking.settings import Settings
from agnt5.checking.shared import caches, closures_changed, globals_changed
from agnt5.checking.sources import sources
from agnt5.checking.step_names import repeated_keys
from agnt5.checking.tasks import tasks

_CHECKS: tuple[Callable[[Region], Iterator[Hit]], ...] = (
    sources,
    order_of_sets,
    tasks,
    globals_changed,
    closures_changed,
    caches,
    repeated_keys,
)


def check_sources(
    sources_by_path: Mapping[str, str], settings: Settings | None = None
) -> list[Finding]:
    """Look for what makes workflows behave differently on replay.

    The sources are looked at together: what a body calls in another of these modules is looked at
    as a part of it.

    Args:
        sources_by_path: The text of each file by its path; the path tells the module's name.
        settings: Which rules apply; all by default. ``exclude`` is not for this function.

    Returns:
        The findings, by path and place.

    >>> found = check_sources(
    ...     {
    ...         "orders.py": '''
    ... import time
    ... from agnt5 import workflow
    ...
    ... @workflow
    ... async def order(ctx):
    ...     return time.time()
    ... '''
    ...     }
    ... )
    >>> [(each.rule, each.line, each.column) for each in found]
    [('AG101', 7, 12)]
    """
    applied = (settings or Settings()).rules()
    modules: list[Module] = []
    findings: list[Finding] = []
    for path, text in sources_by_path.items():
        try:
            modules.append(Module(path, text))
        except (SyntaxError, ValueError, RecursionError) as error:
            findings.append(not_python(path, error))
    found = {
        finding
        for region in regions(Program(modules))
        for check in _CHECKS
        for hit in check(region)
        if (finding := _finding(region, hit)).rule in applied
    }
    for module in modules:
        findings += _kept(module, sorted(f for f in found if f.path == module.path), applied)
    return sorted(findings)


def _finding(region: Region, hit: Hit) -> Finding:
    node = hit.node
    assert isinstance(node, ast.expr | ast.stmt | ast.excepthandler)  # noqa: S101 - all have a place
    rule = RULES[hit.rule]
    return Finding(
        path=region.module.path,
        line=node.lineno,
        column=region.module.column(node.lineno, node.col_offset),
        end_line=node.end_lineno or node.lineno,
        end_column=region.module.column(node.end_lineno or node.lineno, node.end_col_offset or 0),
        rule=rule.id,
        severity=rule.severity,
        message=f"{hit.message} ({region.where})",
        fix=rule.fix,
    )


def _kept(module: Module, found: list[Finding], applied: frozenset[str]) -> Iterator[Finding]:
    """The findings that no comment ignores, and the comments that ignore none."""
    ignores = ignores_of(module.text) if "agnt5:" in module.text else []
    for finding in found:
        covering = [ignore for ignore in ignores if ignore.covers(finding)]
        for ignore in covering:
            ignore.used.add(finding.rule)
        if not covering:
            yield finding
    if "AG002" in applied:
        for ignore in ignores:
            yield from _unused(module, ignore, applied)


def _unused(module: Module, ignore: Ignore, applied: frozenset[str]) -> Iterator[Finding]:
    idle = ignore.unused(applied)
    if idle is None:
        return
    unknown = [rule for rule in idle if rule not in RULES]
    what = f"there is no rule {', '.join(unknown)}" if unknown else "nothing is found here"
    which = f" of {', '.join(idle)}" if idle and not unknown else ""
    rule = RULES["AG002"]
    yield Finding(
        path=module.path,
        line=ignore.line,
        column=ignore.column,
        end_line=ignore.line,
        end_column=ignore.end_column,
        rule=rule.id,
        severity=rule.severity,
        message=f"this comment ignores nothing: {what}{which}",
        fix=rule.fix,
    )


def not_python(path: str, error: Exception) -> Finding:
    """The finding that a file cannot be read as Python.

    Args:
        path: The file.
        error: What reading or parsing it raised.
    """
    rule = RULES["AG001"]
    line, column, why = 1, 1, str(error)
    if isinstance(error, SyntaxError):
        line, column, why = error.lineno or 1, max(error.offset or 1, 1), error.msg
    elif isinstance(error, RecursionError):
        why = "it is nested too deeply"
    message = f"this is not Python that can be read: {why}"
    return Finding(path, line, column, line, column, rule.id, rule.severity, message, rule.fix)
