"""Names to components. Decorators register at import; a name is taken once."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

from agnt5.actors.ports import AttemptInfo, Definition
from agnt5.events.run.facts import RetryPlan


class Component(ABC):
    """Something that a run can execute."""

    name: str

    @abstractmethod
    def definition(self) -> Definition:
        """What the cast needs to know of it."""

    @abstractmethod
    def check_input(self, given: Mapping[str, object]) -> None:
        """Refuse an input that does not fit.

        Raises:
            InvalidInputError: With what is wrong and what is expected.
        """


class FunctionComponent(Component, ABC):
    """A function that a step can run; also the handler that its executor calls."""

    on_thread: bool
    timeout_s: float | None
    concurrency: int | None
    plan: RetryPlan | None
    recovery: str

    @abstractmethod
    def call(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Call it as an attempt."""

    @abstractmethod
    def check_call(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Refuse arguments that do not fit.

        Raises:
            TypeError: As Python itself would.
        """

    @abstractmethod
    def takes(self, parameter: str) -> bool:
        """Whether it has a parameter of that name."""


class WorkflowComponent(Component, ABC):
    """A workflow."""

    @abstractmethod
    def call_inline(
        self, parent: object, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Run the body in the scope of a step of another run."""

    def check_call(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Refuse arguments that do not fit; without a signature, everything fits.

        Raises:
            TypeError: As Python itself would.
        """

    def takes(self, parameter: str) -> bool:  # noqa: ARG002 - for those that have a signature
        """Whether it has a parameter of that name."""
        return False


T = TypeVar("T", bound=Component)
_SHOWN = 10


class _Registry(Generic[T]):
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._components: dict[str, T] = {}

    def register(self, component: T) -> None:
        """Add a component.

        Raises:
            ValueError: When the name is taken by another one.
        """
        known = self._components.get(component.name)
        if known is not None and known is not component:
            msg = (
                f"{self.kind} name collision: {component.name!r} is already registered"
                f" ({known.definition().where}); give one of them another name with name=..."
            )
            raise ValueError(msg)
        self._components[component.name] = component

    def get(self, name: str) -> T | None:
        """The component of that name, or None."""
        return self._components.get(name)

    def all(self) -> dict[str, T]:
        """Every component, by name."""
        return dict(self._components)

    def list_names(self) -> list[str]:
        """Every name, sorted."""
        return sorted(self._components)

    def clear(self) -> None:
        """Forget every component. For tests."""
        self._components.clear()

    def hint(self, name: str) -> str:
        """A sentence that names the nearest components there are."""
        known = self.list_names()
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        if near:
            return f"Did you mean {' or '.join(map(repr, near))}?"
        if known:
            more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
            return f"Registered {self.kind}s: {', '.join(map(repr, known[:_SHOWN]))}{more}."
        return f"No {self.kind} is registered: import the module that defines it first."


FunctionRegistry: _Registry[FunctionComponent] = _Registry("function")
WorkflowRegistry: _Registry[WorkflowComponent] = _Registry("workflow")


class RegisteredComponents:
    """What this process can run: everything that was decorated."""

    def component(self, kind: str, name: str) -> Component | None:
        """The component, or None."""
        return FunctionRegistry.get(name) if kind == "function" else WorkflowRegistry.get(name)

    def definition(self, kind: str, name: str) -> Definition | None:
        """The component as the cast sees it, or None."""
        component = self.component(kind, name)
        return None if component is None else component.definition()

    def hint(self, kind: str, name: str) -> str:
        """A sentence that names what there is instead."""
        other = "function" if kind == "workflow" else "workflow"
        if self.component(other, name) is not None:
            return f"There is a {other} of that name: pass component_type={other!r}."
        return FunctionRegistry.hint(name) if kind == "function" else WorkflowRegistry.hint(name)
