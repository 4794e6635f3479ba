"""The store of the how-to page, as a module: what its programs define."""

from __future__ import annotations

import sys
import types

from tests.docs.pages import ROOT, programs

PAGE = ROOT / "docs" / "howto" / "write-a-store.md"


def load(name: str) -> types.ModuleType:
    """A program of the page, run once; later programs import it by its name."""
    if name not in sys.modules:
        module = types.ModuleType(name)
        sys.modules[name] = module
        source = programs(PAGE)[f"{name}.py"]
        exec(compile(source, f"{PAGE}:{name}", "exec"), module.__dict__)
    return sys.modules[name]


line_log = load("line_log")
LineLog = line_log.LineLog
FAULTS = load("test_trouble").FAULTS
