"""Names to components. Decorators register at import; a name is taken once."""

from __future__ import annotations

import difflib
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from agnt5.actors.ports import AttemptInfo, Definition
from agnt5.events.run.facts import RetryPlan
from agnt5.events.run.retry import StepDefaults
from agnt5.exceptions import UnknownOutcomeError
from agnt5.flow import RateLimit
from agnt5.names import check_component_name
from agnt5.triggers import NO_TRIGGERS, Delivery, Triggers


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

    def name_arguments(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> dict[str, object]:
        """The arguments of a call by their names, as the input of a run.

        Raises:
            TypeError: When they have no names, or do not fit.
        """
        if args:
            msg = f"{self.name!r} takes its input by name, as keyword arguments"
            raise TypeError(msg)
        return dict(kwargs)


class FunctionComponent(Component, ABC):
    """A function that a step can run; also the handler that its executor calls."""

    on_thread: bool
    timeout_s: float | None
    concurrency: int | None
    rate: RateLimit | None = None
    plan: RetryPlan | None
    own_backoff: tuple[str, float] | None = None
    """The kind and the multiplier, if the function chose them itself."""
    recovery: str
    confirmation: bool = False
    """Whether a person must agree before a workflow may run it."""
    verify_on_thread: bool = False

    def plan_under(self, defaults: StepDefaults | None) -> RetryPlan | None:
        """How it is retried where these defaults hold."""
        if defaults is None:
            return self.plan
        plan, backoff = self.plan, self.own_backoff
        if plan is None:
            plan = defaults.plan
        elif backoff is None:
            backoff = defaults.backoff
        if plan is None or backoff is None:
            return plan
        return plan.model_copy(update={"backoff": backoff[0], "multiplier": backoff[1]})

    def is_retryable(self, error: BaseException) -> bool | None:  # noqa: ARG002 - for subclasses
        """Whether its policy allows another attempt after an exception; None: it has no policy."""
        return None

    def verify(
        self, info: AttemptInfo, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Find out whether the effect of an attempt that a crash cut short has happened."""
        del args, kwargs
        msg = f"function {info.name!r} no longer says how to find out whether its effect happened"
        raise UnknownOutcomeError(msg)

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
    """A workflow, or one version of it."""

    version: str | None = None
    is_default: bool = False
    """Whether new runs of the name use this version, whatever is registered later."""
    queue: str | None = None

    triggers: Triggers = NO_TRIGGERS

    def bind(self, delivery: Delivery) -> Mapping[str, object]:
        """The input that a delivery gives. Without a signature to go by: the payload itself."""
        payload = delivery.payload
        return payload if isinstance(payload, dict) else {"payload": payload}

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


logger = logging.getLogger("agnt5.registry")

T = TypeVar("T", bound=Component)
_SHOWN = 10


class _Registry(Generic[T]):
    """What was declared of one kind in this process, by name. A name is taken once."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._components: dict[str, T] = {}
        self.watchers: list[Callable[[], None]] = []
        """Told, on whichever thread that is, when a component is new."""

    def register(self, component: T) -> None:
        """Add a component.

        Raises:
            ConfigurationError: When its name cannot be one.
            ValueError: When the name is taken by another one.
        """
        check_component_name(component.name, self.kind)
        known = self._components.get(component.name)
        if known is not None and known is not component:
            msg = (
                f"{self.kind} name collision: {component.name!r} is already registered"
                f" ({known.definition().where}); give one of them another name with name=..."
            )
            raise ValueError(msg)
        self._components[component.name] = component
        for watcher in list(self.watchers):
            watcher()

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
        return hint_for(self.kind, self.list_names(), name)


class _VersionedRegistry(_Registry[WorkflowComponent]):
    """Several versions of one name may stand side by side; the newest one is the default."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self._versions: dict[str, dict[str | None, WorkflowComponent]] = {}

    def register(self, component: WorkflowComponent) -> None:
        """Add a component.

        Raises:
            ConfigurationError: When its name cannot be one.
            ValueError: When the name with this version is taken by another one, or when another
                version is the chosen default already.
        """
        name, version = component.name, component.version
        check_component_name(name, self.kind)
        versions = self._versions.setdefault(name, {})
        known = versions.get(version)
        if known is not None and known is not component:
            taken = repr(name) if version is None else f"{name!r} of version {version!r}"
            msg = (
                f"{self.kind} name collision: {taken} is already registered"
                f" ({known.definition().where}); give one of them another name with name=..., or"
                " another version with version=..."
            )
            raise ValueError(msg)
        chosen = next((c for c in versions.values() if c.is_default), None)
        if chosen is not None and component.is_default and chosen is not component:
            msg = (
                f"two versions of {self.kind} {name!r} say default=True: {chosen.version!r} and"
                f" {version!r}"
            )
            raise ValueError(msg)
        versions[version] = component
        self._components[name] = chosen or component
        for watcher in list(self.watchers):
            watcher()

    def pinned(self, name: str, version: str | None) -> WorkflowComponent | None:
        """The component for a run that was accepted with this version label (or without one)."""
        found = self._versions.get(name, {}).get(version)
        return self._components.get(name) if found is None and version is None else found

    def versions(self, name: str) -> list[str]:
        """The version labels of a name, in the order of registration."""
        return [label for label in self._versions.get(name, {}) if label is not None]

    def clear(self) -> None:
        """Forget every component. For tests."""
        super().clear()
        self._versions.clear()


class _Workflows(_VersionedRegistry):
    """Workflows; those of classes are known by name only when somebody looks."""

    def __init__(self) -> None:
        super().__init__("workflow")
        self._announced: list[Callable[[], None]] = []
        # Whoever looks meanwhile must see all of them. Reentrant: constructors may look, too.
        self._settling = threading.RLock()

    def announce(self, register: Callable[[], None]) -> None:
        """Something to register before the next look: its name is not known yet."""
        self._announced.append(register)

    def replace(self, component: WorkflowComponent) -> None:
        """Add a component in place of the one that has its name."""
        self._components[component.name] = component
        self._versions[component.name] = {component.version: component}

    def registered(self, name: str) -> WorkflowComponent | None:
        """The component that has that name so far, for those who are being registered."""
        return self._components.get(name)

    def get(self, name: str) -> WorkflowComponent | None:
        """The component of that name, or None."""
        self._settle()
        return super().get(name)

    def all(self) -> dict[str, WorkflowComponent]:
        """Every component, by name."""
        self._settle()
        return super().all()

    def list_names(self) -> list[str]:
        """Every name, sorted."""
        self._settle()
        return super().list_names()

    def pinned(self, name: str, version: str | None) -> WorkflowComponent | None:
        """The component for a run that was accepted with this version label (or without one)."""
        self._settle()
        return super().pinned(name, version)

    def versions(self, name: str) -> list[str]:
        """The version labels of a name, in the order of registration."""
        self._settle()
        return super().versions(name)

    def clear(self) -> None:
        """Forget every component. For tests."""
        self._announced.clear()
        super().clear()

    def _settle(self) -> None:
        with self._settling:
            while self._announced:
                self._announced.pop(0)()


class _Named(Protocol):
    name: str


N = TypeVar("N", bound=_Named)


class LatestByName(Generic[N]):
    """Names to things of which the latest counts."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, N] = {}

    def register(self, thing: N) -> None:
        """Add it; one of the same name is replaced, with a warning."""
        known = self._things.get(thing.name)
        self._things[thing.name] = thing
        if known is not None and known is not thing:
            self.replaced(known, thing)

    def replaced(self, known: N, thing: N) -> None:  # noqa: ARG002 - for those who compare them
        """Say that the name means something else now."""
        logger.warning("%s %r was defined again: the later one counts", self.kind, thing.name)

    def get(self, name: str) -> N | None:
        """The thing of that name, or None."""
        return self._things.get(name)

    def all(self) -> dict[str, N]:
        """Everything, by name."""
        return dict(self._things)

    def list_names(self) -> list[str]:
        """Every name, sorted."""
        return sorted(self._things)

    def clear(self) -> None:
        """Forget everything. For tests."""
        self._things.clear()


def hint_for(kind: str, known: Iterable[str], name: str) -> str:
    """A sentence that names what there is instead of ``name``."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}?"
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"Registered {kind}s: {', '.join(map(repr, names[:_SHOWN]))}{more}."
    return f"No {kind} is registered: import the module that defines it first."


FunctionRegistry: _Registry[FunctionComponent] = _Registry("function")
WorkflowRegistry: _Workflows = _Workflows()


class RegisteredComponents:
    """What this process can run: everything that was decorated."""

    def component(self, kind: str, name: str, version: str | None = None) -> Component | None:
        """The component for a new run, or None."""
        if kind == "function":
            return FunctionRegistry.get(name) if version is None else None
        if version is not None:
            return WorkflowRegistry.pinned(name, version)
        return WorkflowRegistry.get(name)

    def definition(self, kind: str, name: str, version: str | None = None) -> Definition | None:
        """The component as the cast sees it, for a run with this version label, or None."""
        component: Component | None
        if kind == "function":
            component = FunctionRegistry.get(name)
        else:
            component = WorkflowRegistry.pinned(name, version)
        return None if component is None else component.definition()

    def hint(self, kind: str, name: str) -> str:
        """A sentence that names what there is instead."""
        other = "function" if kind == "workflow" else "workflow"
        if self.component(other, name) is not None:
            return f"There is a {other} of that name: pass component_type={other!r}."
        if self.component(kind, name) is not None:
            known = WorkflowRegistry.versions(name) if kind == "workflow" else []
            labels = ", ".join(map(repr, known)) or "none has a label"
            return f"Its versions here: {labels}."
        return FunctionRegistry.hint(name) if kind == "function" else WorkflowRegistry.hint(name)
