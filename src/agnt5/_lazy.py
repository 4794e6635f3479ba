"""A package whose public names are imported when the first of them is asked for.

The command line and the test kit start in a tenth of the time that everything takes. It must not be
noticed otherwise: a name is what it would be after ``from ... import`` at the top.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from importlib import import_module
from types import ModuleType
from typing import Final

SHADOWED: Final = frozenset({"entity", "function", "task", "tool", "workflow"})
"""Public names that are names of modules as well; importing the module must not replace them."""


class LazyPackage(ModuleType):
    """The class of the package once :func:`make_lazy` has changed it."""

    def __setattr__(self, name: str, value: object) -> None:
        """Let the import system bind submodules, but for those whose name is taken."""
        if not (name in SHADOWED and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> object:
        """Import everything public, at the first name that is not there.

        Raises:
            AttributeError: When there is no such name.
        """
        if get_ident() not in _loading and (name == "__all__" or not name.startswith("__")):
            load(self)
            if name in vars(self):
                return vars(self)[name]
            later = import_module(f"{self.__name__}._public")
            if name in later.LATER:
                vars(self)[name] = found = getattr(later, name)
                return found
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        """What is there, and what will be."""
        load(self)
        return sorted({*vars(self), *vars(self)["__all__"]})


_loading: set[int] = set()
"""The threads that are importing the public names; a name that they miss is a module to come."""


def make_lazy(package: str) -> None:
    """Make an imported package take its names from its module ``_public`` when they are needed."""
    sys.modules[package].__class__ = LazyPackage


def load(package: ModuleType) -> None:
    """Import the public names of a package, but those for later, unless they are there."""
    if "__all__" in vars(package):
        return
    _loading.add(get_ident())
    try:
        public = import_module(f"{package.__name__}._public")
    finally:
        _loading.discard(get_ident())
    now = [name for name in public.__all__ if name not in public.LATER]
    vars(package).update({name: getattr(public, name) for name in now})
    vars(package)["__all__"] = list(public.__all__)
