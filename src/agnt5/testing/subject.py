"""What is tested: a workflow or function, by whatever the user calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from agnt5.exceptions import ConfigurationError, UnknownComponentError
from agnt5.registry import Component, FunctionRegistry, RegisteredComponents, WorkflowRegistry


@dataclass(frozen=True)
class Subject:
    """A component, and with what every run of it is submitted."""

    component: Component
    kind: str
    given: Mapping[str, Any] = field(default_factory=dict)
    """``session_id``, ``user_id``, ``metadata``, ``version``."""

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    @property
    def where(self) -> str:
        """Where it is defined, ``file.py:12``."""
        return self.component.definition().where

    @property
    def function(self) -> Any:
        """What the user wrote."""
        return self._signature._function  # noqa: SLF001 - hidden from users

    @property
    def _signature(self) -> Any:
        return getattr(self.component, "_signature")  # noqa: B009 - hidden from users

    def hints(self) -> dict[str, Any]:
        """The parameters that a run needs, with their annotations.

        Raises:
            ConfigurationError: When they cannot be resolved.
        """
        try:
            hints = get_type_hints(self.function, include_extras=True)
        except Exception as error:
            msg = f"the annotations of {self.name!r} cannot be resolved ({error}); give input=..."
            raise ConfigurationError(msg) from error
        return {name: hints.get(name) for name in self._signature.parameters}

    def optional(self) -> set[str]:
        """The parameters that have a default."""
        return {n for n, p in self._signature.parameters.items() if p.default is not p.empty}


def subject_of(tested: object, given: Mapping[str, Any]) -> Subject:
    """Find the component that is meant.

    Args:
        tested: What ``@workflow`` or ``@function`` returned, a ``Workflow`` class, or a name.
        given: With what every run of it is submitted.

    Raises:
        ConfigurationError: When it is none of these.
        UnknownComponentError: When no component has that name.
    """
    version = given.get("version")
    name = tested if isinstance(tested, str) else getattr(tested, "name", None)
    if isinstance(tested, Component):
        kind = "function" if FunctionRegistry.get(tested.name) is tested else "workflow"
        return _checked(Subject(tested, kind, given))
    if isinstance(tested, type):
        for each in WorkflowRegistry.all().values():
            if getattr(each, "_cls", None) is tested:
                return _checked(Subject(each, "workflow", given))
    if not isinstance(name, str):
        msg = f"crash_everywhere takes a workflow, a function or the name of one, not {tested!r}"
        raise ConfigurationError(msg)
    components = RegisteredComponents()
    for kind in ("workflow", "function"):
        component = components.component(kind, name, version)
        if component is not None:
            return _checked(Subject(component, kind, given))
    msg = f"no workflow named {name!r} is registered here. {components.hint('workflow', name)}"
    raise UnknownComponentError(msg)


def _checked(subject: Subject) -> Subject:
    if not subject.component.definition().durable:
        msg = (
            f"workflow {subject.name!r} has enable_durability=False: its runs do not survive a"
            " crash, so there is nothing to disprove"
        )
        raise ConfigurationError(msg)
    return subject
