"""What hypothesis draws for a workflow: inputs from its annotations, timing, failures, crashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from hypothesis import strategies as st
from pydantic import BaseModel

from agnt5.exceptions import ConfigurationError
from agnt5.testing.schedule import Circumstances, Crash, Failing, Moment
from agnt5.testing.subject import Subject

DELAYS_S = (0.0, 0.51, 5.3, 61.0, 3607.0, 86_411.0)
"""Nothing round: what comes in the same microsecond as a timeout is a race of nobody's making."""
_NEAR_S = (-0.011, 0.013, 1.017)
_MOST_TIMES = 20
_MOST_FAILURES = 2
_MOST_SEED = 2**16


@dataclass(frozen=True)
class Declared:
    """What a test declares; a value that is a strategy is drawn."""

    input: Mapping[str, object]
    signals: Sequence[tuple[str, object]]
    answers: Sequence[tuple[str, object]]
    cancels: bool
    failures: Sequence[tuple[str, tuple[type[Exception], ...]]]

    def errors(self) -> dict[tuple[str, str], type[Exception]]:
        """The failures that are declared, by function and name."""
        return {(name, e.__name__): e for name, errors in self.failures for e in errors}


def declared(
    subject: Subject,
    given: Mapping[str, object] | None,
    signals: object,
    answers: object,
    failures: Mapping[Any, Any],
    *,
    cancels: bool,
) -> Declared:
    """Complete what a test declares with what the annotations say.

    Raises:
        ConfigurationError: When an input can neither be taken nor drawn.
    """
    known = dict(given or {})
    optional = subject.optional()
    for name, hint in subject.hints().items():
        if name not in known and name not in optional:
            known[name] = _strategy(subject, name, hint)
    return Declared(
        known, _pairs(signals, "signals"), _pairs(answers, "answers"), cancels, _errors(failures)
    )


def _strategy(subject: Subject, name: str, hint: Any) -> st.SearchStrategy[Any]:
    if hint is None or hint is Any:
        msg = (
            f"{subject.name!r} needs {name!r}, whose annotation does not say what it may be: give"
            f" input={{{name!r}: ...}}, a value or a hypothesis strategy"
        )
        raise ConfigurationError(msg)
    return from_hint(hint)


def from_hint(hint: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation; of a pydantic model, such as fit its fields' constraints."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        fields = {
            name: from_hint(_annotated(field.annotation, field.metadata))
            for name, field in hint.model_fields.items()
            if field.is_required()
        }
        return st.builds(hint, **fields)
    strategy: st.SearchStrategy[Any] = st.from_type(hint)
    # A NaN is not equal to itself, and no result that holds one is ever the same.
    return strategy.filter(lambda value: value == value)  # noqa: PLR0124


def _annotated(annotation: Any, metadata: Iterable[Any]) -> Any:
    for each in metadata:
        annotation = Annotated[annotation, each]
    return annotation


def _pairs(given: Any, what: str) -> list[tuple[str, object]]:
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given)
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):  # noqa: PLR2004
            msg = f"{what} maps names to values, or is a list of (name, value), not {pair!r}"
            raise ConfigurationError(msg)
    return pairs


def _errors(given: Mapping[Any, Any]) -> list[tuple[str, tuple[type[Exception], ...]]]:
    found: list[tuple[str, tuple[type[Exception], ...]]] = []
    for function, errors in given.items():
        name = function if isinstance(function, str) else getattr(function, "name", None)
        several = tuple(errors) if isinstance(errors, (list, tuple)) else (errors,)
        if not isinstance(name, str) or not all(map(_is_error, several)):
            msg = (
                "failures maps functions to types of exceptions that can be made of a text, not"
                f" {function!r} to {errors!r}"
            )
            raise ConfigurationError(msg)
        found.append((name, several))
    return found


def _is_error(error: object) -> bool:
    return isinstance(error, type) and issubclass(error, Exception)


Draw = Callable[[st.SearchStrategy[Any]], Any]


def delays(seen_s: Iterable[float]) -> list[float]:
    """When things may come from outside: some times, and about when something happened before."""
    near = {round(time + later, 6) for time in seen_s for later in _NEAR_S if time + later >= 0}
    return sorted({*DELAYS_S, *sorted(near)[:_MOST_TIMES]})


def draw_circumstances(draw: Draw, said: Declared, delays_s: Sequence[float]) -> Circumstances:
    """Draw everything but the crashes."""
    given = {name: _value(draw, value) for name, value in said.input.items()}
    delay = st.sampled_from(delays_s)
    moments = [Moment("signal", n, _value(draw, v), draw(delay)) for n, v in said.signals]
    moments += [Moment("answer", n, _value(draw, v), draw(delay)) for n, v in said.answers]
    if said.cancels:
        moments.append(Moment("cancel", "", None, draw(delay)))
    failing = tuple(
        Failing(
            name,
            draw(st.sampled_from(errors)),
            draw(st.integers(0, _MOST_FAILURES)),
            draw(st.booleans()),
        )
        for name, errors in said.failures
    )
    seed = draw(st.just(0) | st.integers(1, _MOST_SEED))
    return Circumstances(given, tuple(moments), failing, seed)


def simplest(said: Declared) -> Circumstances:
    """Everything at once, nothing late, nothing failing, the simplest input."""
    given = {name: _simplest(value) for name, value in said.input.items()}
    moments = [Moment("signal", n, _simplest(v)) for n, v in said.signals]
    moments += [Moment("answer", n, _simplest(v)) for n, v in said.answers]
    return Circumstances(given, tuple(moments))


def draw_crashes(draw: Draw, points: Sequence[Crash], most: int) -> tuple[Crash, ...]:
    """Draw where it crashes: few before many, early before late."""
    return tuple(draw(st.lists(st.sampled_from(points), min_size=1, max_size=most)))


def _value(draw: Draw, value: object) -> object:
    return draw(value) if isinstance(value, st.SearchStrategy) else value


def _simplest(value: object) -> object:
    if not isinstance(value, st.SearchStrategy):
        return value
    from hypothesis import Phase, find, settings  # noqa: PLC0415 - only where it is needed

    quick = settings(
        database=None, deadline=None, max_examples=50, phases=[Phase.generate, Phase.shrink]
    )
    return find(value, lambda _: True, settings=quick)
