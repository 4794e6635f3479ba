"""What a user function takes: does a call fit, does an input fit, and its values as annotated."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from agnt5.exceptions import InvalidInputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_KEYWORD = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
_SHAPES_ERRORS = (
    PydanticSchemaGenerationError,
    PydanticUndefinedAnnotation,
    TypeError,
    NameError,
    AttributeError,
)


class Signature:
    """The signature of a function, without its context parameter."""

    def __init__(
        self,
        function: Callable[..., Any],
        context_class: type,
        *,
        bare_first_is_context: bool = False,
    ) -> None:
        self._function = function
        self._context_class = context_class
        self._bare_first_is_context = bare_first_is_context
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        self.takes_context = bool(parameters) and self._is_context(parameters[0])
        if self.takes_context:
            parameters = parameters[1:]
        self.signature = signature.replace(parameters=parameters)
        self.parameters = {p.name: p for p in parameters}
        kinds = [p.kind for p in parameters]
        self.takes_any_keyword = inspect.Parameter.VAR_KEYWORD in kinds
        positional = [p for p in parameters if p.kind < inspect.Parameter.VAR_POSITIONAL]
        self._required = sum(p.default is p.empty for p in positional)
        self._accepted = len(positional)
        self._plain = all(k < inspect.Parameter.VAR_POSITIONAL for k in kinds)
        self._known = [p.name for p in parameters if p.kind in _KEYWORD]
        self._needed = [p.name for p in parameters if p.default is p.empty and p.kind in _KEYWORD]
        self._unnamed = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]

    def _is_context(self, first: inspect.Parameter) -> bool:
        """Named ``ctx``, or annotated with a context class."""
        if first.name == "ctx":
            return True
        if first.annotation is first.empty:
            return self._bare_first_is_context
        hint = first.annotation
        if isinstance(hint, str):
            hint = self.hints.get(first.name)
        return isinstance(hint, type) and issubclass(hint, self._context_class)

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The annotations, resolved; none when they cannot be."""
        try:
            return get_type_hints(self._function, include_extras=True)
        except Exception:  # noqa: BLE001 - annotations are arbitrary code; without them, no type check
            return {}

    def takes(self, parameter: str) -> bool:
        """Whether there is a parameter of that name."""
        return parameter in self.parameters

    def hint(self, parameter: str) -> Any:
        """The annotation of a parameter, or None."""
        return self.hints.get(parameter)

    def check_call(self, name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Refuse arguments that do not fit.

        Raises:
            TypeError: As Python itself would.
        """
        if self._plain and not kwargs and self._required <= len(args) <= self._accepted:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            msg = f"{name}(): {error}; it takes {self.signature}"
            raise TypeError(msg) from None

    def named(
        self, name: str, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> dict[str, object]:
        """The arguments of a call by their names, as the input of a run.

        Raises:
            TypeError: When they do not fit, as Python itself would.
        """
        self.check_call(name, args, kwargs)
        given = self.signature.bind(*args, **kwargs).arguments
        named: dict[str, object] = {}
        for parameter, value in given.items():
            kind = self.parameters[parameter].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                named.update(value)
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                msg = f"{name}{self.signature} takes its input by name: *{parameter} has no names"
                raise TypeError(msg)
            else:
                named[parameter] = value
        return named

    def check_input(self, name: str, given: Mapping[str, object]) -> None:
        """Refuse an input whose names or types do not fit.

        Raises:
            InvalidInputError: With everything that is wrong, and what is expected.
        """
        self._validated(name, given)

    def _misnamed(self, given: Mapping[str, object]) -> list[str]:
        problems = [f"{name!r} is missing" for name in self._needed if name not in given]
        problems += [f"{n!r} is positional-only, which a run cannot fill" for n in self._unnamed]
        if not self.takes_any_keyword:
            for name in given:
                if name not in self._known:
                    near = difflib.get_close_matches(name, self._known, n=1)
                    hint = f" (did you mean {near[0]!r}?)" if near else ""
                    problems.append(f"{name!r} is unknown{hint}")
        return problems

    def coerce(self, name: str, given: Mapping[str, object]) -> dict[str, Any]:
        """The input with its values as annotated: dicts become models, texts become dates.

        Raises:
            InvalidInputError: When it does not fit, because the code has changed since.
        """
        values = dict(given)
        for parameter, coerced in self._validated(name, given).items():
            original = values[parameter]
            if type(coerced) is not type(original) or coerced != original:
                # A float that was given as 5 stays 5: equal values keep the caller's spelling.
                numbers = isinstance(original, (int, float)) and coerced == original
                values[parameter] = original if numbers else coerced
        return values

    def _validated(self, name: str, given: Mapping[str, object]) -> dict[str, Any]:
        """What the annotations make of the values; of parameters with such as say something."""
        problems, validated = self._misnamed(given), dict[str, Any]()
        for parameter, adapter in self._adapters.items():
            if parameter in given:
                try:
                    validated[parameter] = adapter.validate_python(given[parameter])
                except ValidationError as error:
                    first = error.errors(include_url=False, include_context=False)[0]
                    place = "".join(f"[{part!r}]" for part in first["loc"])
                    found = f"{given[parameter]!r:.80}"
                    problems.append(f"{parameter}{place}: {first['msg']}, not {found}")
        if problems:
            msg = f"the input does not fit {name}{self.signature}: {'; '.join(problems)}."
            raise InvalidInputError(msg)
        return validated

    @cached_property
    def _adapters(self) -> dict[str, TypeAdapter[Any]]:
        found: dict[str, TypeAdapter[Any]] = {}
        for name, parameter in self.parameters.items():
            hint = self.hints.get(name)
            if hint is None or hint is Any or parameter.kind not in _KEYWORD:
                continue
            try:
                found[name] = _adapter(hint)
            except _SHAPES_ERRORS:
                # An annotation that pydantic cannot check is documentation, not a contract.
                continue
        return found


def _adapter(hint: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - heavy, and not needed before the first input

    model = isinstance(hint, type) and issubclass(hint, BaseModel)
    if model or typing.is_typeddict(hint):
        return TypeAdapter(hint)
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except TypeError:
        return TypeAdapter(hint)
