"""The memory that a process loses when it dies: the plain values in the globals of modules.

Simulated lives share one real process. So what steps and bodies keep in a module (a cache, a
counter, a connection that was ``None`` at first) is put back to what it was, as a restart would.
Objects of classes are left alone: the fakes of the outside world, which survives, are such.
"""

from __future__ import annotations

import copy
import functools
from collections import deque
from collections.abc import Iterable, MutableMapping
from types import ModuleType
from typing import Any

_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_CONTAINERS = (dict, list, set, bytearray, deque)
_CACHE: type = type(functools.lru_cache(lambda: None))


class Memory:
    """The globals of some modules, as they are when it is made."""

    def __init__(self, modules: Iterable[ModuleType | MutableMapping[str, Any]]) -> None:
        self._kept: list[tuple[MutableMapping[str, Any], dict[str, Any], dict[str, Any]]] = []
        self._caches: list[tuple[str, Any]] = []
        for module in modules:
            names = vars(module) if isinstance(module, ModuleType) else module
            self._keep(names)

    def _keep(self, names: MutableMapping[str, Any]) -> None:
        scalars: dict[str, Any] = {}
        contents: dict[str, Any] = {}
        for name, value in list(names.items()):
            if name.startswith("__"):
                continue
            if isinstance(value, _SCALARS):
                scalars[name] = value
            elif isinstance(value, _CONTAINERS):
                try:
                    contents[name] = (value, copy.deepcopy(value))
                except Exception:  # noqa: BLE001, S112 - what cannot be copied cannot be put back
                    continue
            elif isinstance(value, _CACHE):
                self._caches.append((name, value))
        self._kept.append((names, scalars, contents))

    def forget(self) -> list[str]:
        """Put everything back; returns the names of what had changed."""
        changed: list[str] = []
        for names, scalars, contents in self._kept:
            for name, value in scalars.items():
                if names.get(name) is not value:
                    changed.append(name)
                    names[name] = value
            for name, (original, content) in contents.items():
                if names.get(name) is not original or original != content:
                    changed.append(name)
                    names[name] = original
                if original != content:
                    _refill(original, copy.deepcopy(content))
        for name, cache in self._caches:
            if cache.cache_info().currsize:
                changed.append(name)
                cache.cache_clear()
        return changed


def _refill(container: Any, content: Any) -> None:
    container.clear()
    if isinstance(container, dict | set):
        container.update(content)
    else:
        container.extend(content)
