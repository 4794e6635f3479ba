"""One module, parsed: its tree, its scopes, and the full names of what it uses."""

from __future__ import annotations

import ast
import builtins
import warnings
from pathlib import PurePath

from agnt5.checking.scopes import Assigned, Imported, Scope, ScopeBuilder

_BUILTINS = frozenset(dir(builtins))
_ALIASES_FOLLOWED = 5


class Module:
    """A parsed module.

    Args:
        path: The file, as it was named to the linter.
        text: Its source.

    Raises:
        SyntaxError: When it is no Python.
        ValueError: When it holds null characters.
        RecursionError: When it is nested too deeply to be looked at.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.parts = _parts(path)
        self.tree = _parsed(text)
        is_package = PurePath(path).name == "__init__.py"
        built = ScopeBuilder(self.tree, self.parts if is_package else self.parts[:-1])
        self.scope = built.root
        self.scope_of = built.scope_of
        self.parent_of = built.parent_of
        self._lines = text.splitlines()

    def column(self, line: int, offset: int) -> int:
        """From an offset in bytes, as the parser has it, to a column in characters from 1."""
        source = self._lines[line - 1] if line <= len(self._lines) else ""
        return len(source.encode()[:offset].decode(errors="ignore")) + 1

    def dotted(self, expr: ast.AST, followed: int = 0) -> str | None:
        """The full name of what an expression names, such as ``datetime.datetime.now``.

        Imports and their aliases are followed, and so are plain second names (``now = time.time``).
        None when it is not known, as for a parameter or a local object.
        """
        match expr:
            case ast.Attribute(value=value, attr=attr):
                base = self.dotted(value, followed)
                return None if base is None else f"{base}.{attr}"
            case ast.Name(id=name):
                found = self.scope_of[expr].lookup(name)
                if found is None:
                    return self._unbound(name)
                bindings = [each for each in found[1] if not _is_none(each)]
                imported = [each for each in bindings if isinstance(each, Imported)]
                if imported and len(imported) == len(bindings):
                    return imported[0].dotted
                match bindings:
                    case [Assigned(value=value)] if followed < _ALIASES_FOLLOWED:
                        return self.dotted(value, followed + 1)
                    case _:
                        return None
            case _:
                return None

    def _unbound(self, name: str) -> str | None:
        """A builtin, or something of the one module of which everything was imported."""
        if name in _BUILTINS:
            return f"builtins.{name}"
        match self.scope.stars:
            case [source]:
                return f"{source}.{name}"
            case _:
                return None

    def made_by(self, expr: ast.AST, followed: int = 0) -> str | None:
        """The full name of what was called to make a value, such as ``pathlib.Path``."""
        match expr:
            case ast.Call(func=func):
                return self.dotted(func)
            case ast.Await(value=value):
                return self.made_by(value, followed)
            case ast.BinOp(left=left, op=ast.Div()):
                return self.made_by(left, followed)
            case ast.Name(id=name) if followed < _ALIASES_FOLLOWED:
                found = self.scope_of[expr].lookup(name)
                match found[1] if found else []:
                    case [Assigned(value=value)]:
                        return self.made_by(value, followed + 1)
                    case _:
                        return None
            case _:
                return None

    def function_scope(self, node: ast.AST) -> Scope:
        """The scope of the function or module around a node, without comprehensions."""
        scope = self.scope_of[node]
        while isinstance(scope.node, ast.expr) and not isinstance(scope.node, ast.Lambda):
            assert scope.parent is not None  # noqa: S101 - a module is no expression
            scope = scope.parent
        return scope


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as odd escapes: they are no business of ours
        try:
            return ast.parse(text)
        except MemoryError as error:  # what the parser says when its own stack is full
            raise RecursionError from error


def _is_none(binding: object) -> bool:
    """``name = None``, as beside an import that may be missing."""
    match binding:
        case Assigned(value=ast.Constant(value=None)):
            return True
        case _:
            return False


def _parts(path: str) -> tuple[str, ...]:
    pure = PurePath(path)
    parts = [part for part in pure.with_suffix("").parts if part not in {".", "..", pure.anchor}]
    return tuple(parts[:-1] if parts[-1:] == ["__init__"] else parts)
