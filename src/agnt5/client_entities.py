"""Entities as clients reach them: ``client.entity("Counter", "visits").add(n=2)``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from agnt5.answers import when
from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.entity_methods import EntityMethod, EntityRegistry, checked_key, method_of
from agnt5.exceptions import ExecutionError, InvalidInputError
from agnt5.responses import RunErrorDetail, RunResponse, RunStatus
from agnt5.runtime import Runtime


class _Request:
    """One call, checked: nothing of it was written when a check fails."""

    def __init__(
        self, entity_type: str, key: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.method: EntityMethod = method_of(entity_type, name)
        self.entity = EntityRegistry.find(entity_type)(key)
        if args:
            msg = f"{self.method.label}: give arguments by name, as {name}(amount=2)"
            raise InvalidInputError(msg)
        self.call_id: str | None = None
        if not self.method.signature.takes("idempotency_key"):
            given = kwargs.pop("idempotency_key", None)
            self.call_id = None if given is None else checked_key(given, "idempotency_key")
        self.method.signature.check_input(self.method.label, kwargs)
        self.kwargs = self.method.signature.coerce(self.method.label, kwargs)

    async def make(self, runtime: Runtime) -> RunResponse:
        """Make it, on the runtime's loop."""
        bus = runtime.runs.bus
        begun = bus.clock.now()
        response = RunResponse(
            self.call_id or bus.ids.run_id(),
            200,
            RunStatus.COMPLETED,
            component=self.method.label,
            created_at=when(begun),
            started_at=when(begun),
        )
        try:
            answer = await self.method.ask(
                runtime.entities, self.entity, (), self.kwargs, self.call_id
            )
        except ExecutionError as error:
            response.status_code, response.status = 500, RunStatus.FAILED
            response.error = RunErrorDetail(error.code, str(error))
            response.failed_at = when(bus.clock.now())
        else:
            response.output = answer.value
            response.metadata["version"] = answer.version
            response.completed_at = when(bus.clock.now())
        response.duration_ms = (bus.clock.now() - begun) // 1000
        return response


class EntityProxy:
    """An entity, for code that blocks. Every attribute is a method; arguments go by name."""

    def __init__(
        self,
        ask: Callable[[Callable[[Runtime], Coroutine[Any, Any, RunResponse]]], RunResponse],
        entity_type: str,
        key: str,
    ) -> None:
        self._ask = ask
        self._entity_type = entity_type
        self._key = key

    def __getattr__(self, name: str) -> Callable[..., RunResponse]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> RunResponse:
            return self._ask(_Request(self._entity_type, self._key, name, args, kwargs).make)

        return call


class AsyncEntityProxy:
    """An entity, for code that awaits."""

    def __init__(self, client: AwaitingClient, entity_type: str, key: str) -> None:
        self._client = client
        self._entity_type = entity_type
        self._key = key

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, RunResponse]]:
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*args: Any, **kwargs: Any) -> RunResponse:
            request = _Request(self._entity_type, self._key, name, args, kwargs)
            return await self._client._ask(request.make)  # noqa: SLF001 - a part of the client

        return call


class ClientEntities(BlockingClient):
    """Call entities."""

    def entity(self, entity_type: str, key: str) -> EntityProxy:
        """An entity: ``client.entity("Cart", "u1").add(item="tea").output``.

        Each call returns a RunResponse; a method that fails does not raise. With
        ``idempotency_key="..."`` among the arguments a call is applied once for ever, and its
        repetition is answered from the log.

        Args:
            entity_type: The name of the entity's class.
            key: Which one of the type.

        Raises:
            UnknownComponentError: When there is no such type; by a call: no such method.
            InvalidInputError: When the key is not one; by a call: when the arguments do not fit.
        """
        EntityRegistry.find(entity_type)
        return EntityProxy(self._ask, entity_type, checked_key(key))


class AsyncClientEntities(AwaitingClient):
    """Call entities, awaited."""

    def entity(self, entity_type: str, key: str) -> AsyncEntityProxy:
        """An entity; await its methods. See :meth:`Client.entity`."""
        EntityRegistry.find(entity_type)
        return AsyncEntityProxy(self, entity_type, checked_key(key))
