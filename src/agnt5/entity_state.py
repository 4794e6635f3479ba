"""``self.state`` of an entity: the values that one call works on, and what it has changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints, is_typeddict

import orjson
from pydantic import BaseModel, JsonValue, ValidationError

from agnt5.exceptions import ConfigurationError, StateError
from agnt5.payloads import decode, encode
from agnt5.run_state import APPLIED, Applied, checked_name


def differs(one: JsonValue, other: JsonValue) -> bool:
    """Whether two recorded values differ. In Python True == 1 == 1.0; here they are three."""
    return one != other or orjson.dumps(one) != orjson.dumps(other)


class UntypedState:
    """Values by name. What is changed in place, such as a list, is noticed and kept."""

    def __init__(self, values: Mapping[str, JsonValue], where: str, *, read_only: bool) -> None:
        self._base = values
        self._where = where
        self._read_only = read_only
        self._live: dict[str, Any] = {}
        self._deleted: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of that name, or the default."""
        if key in self._live:
            return self._live[key]
        if key not in self._base or key in self._deleted:
            return default
        value = self._live[key] = decode(self._base[key], where=f"state {key!r} of {self._where}")
        return value

    def set(self, key: str, value: Any) -> Applied:
        """Set a value. Awaiting the result is allowed and does nothing.

        Raises:
            StateError: In a query.
            PayloadError: When the value cannot be recorded.
        """
        name = checked_name(key)
        self._check_writable(f"set {name!r}")
        encode(value, where=f"state {name!r} of {self._where}")
        self._live[name] = value
        self._deleted.discard(name)
        return APPLIED

    def delete(self, key: str) -> Applied:
        """Delete a value; one that is not there does not matter."""
        self._check_writable(f"delete {key!r}")
        self._live.pop(key, None)
        self._deleted.add(key)
        return APPLIED

    def clear(self) -> Applied:
        """Delete every value."""
        self._check_writable("clear the state")
        for name in self.keys():
            self.delete(name)
        return APPLIED

    def keys(self) -> list[str]:
        """The names that have a value, sorted."""
        return sorted({*self._base, *self._live} - self._deleted)

    def to_dict(self) -> dict[str, Any]:
        """Every value, by name."""
        return {name: self.get(name) for name in self.keys()}

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def changes(self) -> tuple[dict[str, JsonValue], list[str]]:
        """What the call has set and deleted, as it is recorded."""
        found: dict[str, JsonValue] = {}
        for name, value in self._live.items():
            known = name in self._base
            encoded = encode(value, where=f"state {name!r} of {self._where}")
            if not known or differs(encoded, self._base[name]):
                found[name] = encoded
        return found, sorted(name for name in self._deleted if name in self._base)

    def _check_writable(self, what: str) -> None:
        if self._read_only:
            msg = f"{self._where}: a @query method cannot {what}; remove @query to let it write"
            raise StateError(msg)


class TypedState:
    """The state as an instance of its model: attributes, and the methods of the untyped one."""

    def __init__(
        self, model: StateModel, values: Mapping[str, JsonValue], where: str, *, read_only: bool
    ) -> None:
        keep = object.__setattr__
        keep(self, "_shape", model)
        keep(self, "_base", values)
        keep(self, "_where", where)
        keep(self, "_read_only", read_only)
        fields = {
            name: decode(values[name], where=f"state {name!r} of {where}")
            for name in model.fields
            if name in values
        }
        instance = model.make(fields, where)
        keep(self, "_model", instance)
        keep(self, "_begun", {} if read_only else self._encoded())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._shape.read(self._model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of that field, or the default when there is no such field."""
        try:
            return self._shape.read(self._model, key)
        except AttributeError:
            return default

    def set(self, key: str, value: Any) -> Applied:
        """Set a field.

        Raises:
            StateError: In a query, or when the model has no such field.
        """
        self._check_writable(f"set {key!r}")
        self._check_field(key)
        self._shape.write(self._model, key, value)
        return APPLIED

    def delete(self, key: str) -> Applied:
        """Give a field its default again."""
        self._check_writable(f"delete {key!r}")
        self._check_field(key)
        self._shape.reset(self._model, key, self._where)
        return APPLIED

    def clear(self) -> Applied:
        """Give every field its default again."""
        self._check_writable("clear the state")
        object.__setattr__(self, "_model", self._shape.make({}, self._where))
        return APPLIED

    def keys(self) -> list[str]:
        """The names of the fields that have a value, sorted."""
        return sorted(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Every value, by name."""
        found: dict[str, Any] = self._shape.values(self._model)
        return found

    def changes(self) -> tuple[dict[str, JsonValue], list[str]]:
        """What the call has set and deleted, as it is recorded.

        Raises:
            StateError: When it no longer fits the model.
        """
        self._shape.check(self._model, self._where)
        now, begun = self._encoded(), self._begun
        changed = {
            name: value
            for name, value in now.items()
            if name not in begun or differs(value, begun[name])
        }
        return changed, sorted(name for name in begun if name not in now and name in self._base)

    def _encoded(self) -> dict[str, JsonValue]:
        return {
            name: encode(value, where=f"state {name!r} of {self._where}")
            for name, value in self._shape.values(self._model).items()
        }

    def _check_field(self, name: str) -> None:
        if name not in self._shape.fields:
            known = ", ".join(self._shape.fields)
            msg = f"{self._where}: {self._shape.name} has no field {name!r}; it has {known}"
            raise StateError(msg)

    def _check_writable(self, what: str) -> None:
        if self._read_only:
            msg = f"{self._where}: a @query method cannot {what}; remove @query to let it write"
            raise StateError(msg)


class StateModel:
    """The declared shape of an entity's state: a pydantic model, a dataclass or a TypedDict.

    Raises:
        ConfigurationError: When it is none of these.
    """

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        self.name = getattr(cls, "__name__", repr(cls))
        self._is_dict = is_typeddict(cls)
        self._not_for_init: list[str] = []
        """Fields of a dataclass that its constructor does not take."""
        self._is_model = isinstance(cls, type) and issubclass(cls, BaseModel)
        if self._is_model:
            self.fields = list(cls.model_fields)
        elif dataclasses.is_dataclass(cls) and isinstance(cls, type):
            self.fields = [each.name for each in dataclasses.fields(cls)]
            self._not_for_init = [each.name for each in dataclasses.fields(cls) if not each.init]
        elif self._is_dict:
            self.fields = list(get_type_hints(cls))
        else:
            msg = (
                f"Entity[{self.name}]: the state of an entity is described by a pydantic model,"
                " a dataclass or a TypedDict"
            )
            raise ConfigurationError(msg)

    def make(self, fields: dict[str, Any], where: str) -> Any:
        """An instance with these fields, and defaults for the others.

        Raises:
            StateError: When the recorded values do not fit, or a field has no default.
        """
        if self._is_dict:
            return dict(fields)
        try:
            # By name: an alias is for what comes from outside.
            return (
                self.cls.model_validate(fields, by_name=True)
                if self._is_model
                else self._dataclass(fields)
            )
        except (ValidationError, TypeError) as error:
            msg = (
                f"{where}: its recorded state does not make a {self.name}: {error}. Give every"
                " field a default, and keep reading what older code has written."
            )
            raise StateError(msg) from error

    def _dataclass(self, fields: dict[str, Any]) -> Any:
        later = {name: fields[name] for name in self._not_for_init if name in fields}
        build: Callable[..., Any] = self.cls
        made = build(**{name: value for name, value in fields.items() if name not in later})
        for name, value in later.items():
            setattr(made, name, value)
        return made

    def read(self, instance: Any, name: str) -> Any:
        """A field, or whatever else the model has."""
        if not self._is_dict:
            return getattr(instance, name)
        if name not in instance:
            msg = f"{name!r} has no value yet; use state.get({name!r}, default)"
            raise AttributeError(msg)
        return instance[name]

    def write(self, instance: Any, name: str, value: Any) -> None:
        """Set a field."""
        if self._is_dict:
            instance[name] = value
        else:
            setattr(instance, name, value)

    def reset(self, instance: Any, name: str, where: str) -> None:
        """Give a field its default."""
        if self._is_dict:
            instance.pop(name, None)
        else:
            setattr(instance, name, getattr(self.make({}, where), name))

    def values(self, instance: Any) -> dict[str, Any]:
        """The fields that have a value."""
        if self._is_dict:
            return dict(instance)
        return {name: getattr(instance, name) for name in self.fields}

    def check(self, instance: Any, where: str) -> None:
        """Refuse values that the model would not take."""
        if not self._is_model:
            return
        try:
            self.cls.model_validate(self.values(instance), by_name=True)
        except ValidationError as error:
            msg = f"{where}: what the method made of the state is no {self.name}: {error}"
            raise StateError(msg) from error


EntityValues = UntypedState | TypedState


def working_state(
    model: StateModel | None, values: Mapping[str, JsonValue], where: str, *, read_only: bool
) -> EntityValues:
    """The state that one call works on."""
    if model is None:
        return UntypedState(values, where, read_only=read_only)
    return TypedState(model, values, where, read_only=read_only)
