"""How a client operates runs: pauses them, tries them again, forks them, asks what would be if."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from agnt5.client_base import AwaitingClient, BlockingClient
from agnt5.responses import StatusResponse, SubmitResponse

if TYPE_CHECKING:
    from agnt5.fork_previews import ForkPreview
    from agnt5.operator_desk import Changes
    from agnt5.replay_reports import ReplayReport

Identity = Literal["origin", "own"]


def _changes(
    input_data: Mapping[str, Any] | None = None,
    version: str | None = None,
    identity: Identity | None = None,
    run_id: str | None = None,
    reason: str | None = None,
) -> Changes:
    from agnt5.operator_desk import Changes  # noqa: PLC0415 - a start need not pay for it

    return Changes(input_data, version, identity, run_id, reason)


class ClientOperating(BlockingClient):
    """Operate runs."""

    def pause(
        self, run_id: str, reason: str | None = None, *, children: bool = False
    ) -> StatusResponse:
        """Have a run stand still until :meth:`resume` lets it go on; durable when this returns.

        Its body asks for nothing new and is told nothing new. Attempts that are under way end and
        are recorded; signals and answers that arrive are recorded, and handed over when it goes
        on. Times go on: what has become due by then is due at once. The time that a run may take
        (``timeout`` of the workflow) stands still. A restart changes nothing. Pausing twice is the
        same as once, and :meth:`cancel` ends a paused run, which cleans up first.

        Args:
            run_id: The run; it may not have begun, or be suspended. If it went on as another one,
                that stands still.
            reason: Why, for the log and for :meth:`explain`.
            children: Pause the runs that it has started, too, and theirs. They are not resumed
                with it.

        Raises:
            InvalidInputError: When the run has ended, or the reason is no text.
            RunNotFoundError: When there is no such run.
        """
        return self._ask(lambda rt: rt.operating.pause(run_id, reason, children=children))

    def rerun(
        self,
        run_id: str,
        *,
        input_data: Mapping[str, Any] | None = None,
        version: str | None = None,
        new_run_id: str | None = None,
    ) -> SubmitResponse:
        """Start a new run of the component of another, with the same input or a changed one.

        Session, user, metadata, queue and priority are those of the first run, which is named in
        the ``origin`` of the new one. It has no idempotency key, and no state that was handed on
        to the first run when another one went on as that.

        Args:
            run_id: The first run, finished or not.
            input_data: Its arguments by name; those of the first run if not given.
            version: Which version of the workflow; its default one if not given.
            new_run_id: An id of your own for the new run, unique in the store.

        Raises:
            InvalidInputError: When the input does not fit; nothing was written.
            UnknownComponentError: When there is no such component here.
            PayloadError: When the recorded input cannot be read any more.
            RunNotFoundError: When there is no such run.
        """
        changes = _changes(input_data, version, run_id=new_run_id)
        return self._ask(lambda rt: rt.operating.rerun(run_id, changes))

    def fork(
        self,
        run_id: str,
        at: int | None = None,
        *,
        input_data: Mapping[str, Any] | None = None,
        version: str | None = None,
        identity: Identity | None = None,
        new_run_id: str | None = None,
        reason: str | None = None,
    ) -> SubmitResponse:
        """Begin a new run with the first events of another one; it goes on from there by itself.

        The origin stays as it is. Outcomes that are kept are not made again; what was open there
        is: attempts, and children, which are the fork's own. Timers keep their times; questions
        and signals are waited for, and what had to come within some time has that time anew. It
        takes nothing over that only one run can have: no idempotency key, no deduplication id, no
        parent. When the code that is registered here does not ask for what was kept, the fork is
        suspended with a report: see :meth:`preview_fork`.

        Args:
            run_id: The origin; it may be under way, suspended, or have ended.
            at: The event up to which it is kept, counted from 1 as in :meth:`state_at`. What was
                decided together stays together, so that it may be an event more or less; before
                the end of a run is the last place. All of it if not given.
            input_data: Its arguments by name, in place of those that are recorded. Outcomes that
                are kept stay what they were.
            version: The version of the workflow that goes on with it; its own if not given.
            identity: Whose idempotency keys, ``ctx.random`` and ``ctx.uuid4`` it has from there
                on. ``"origin"``: a service that knows the key of an effect does it only once;
                ``"own"``: all of it is done anew. By default the origin's, or its own with another
                input.
            new_run_id: An id of your own for the fork, unique in the store.
            reason: Why, for the log.

        Returns:
            The id of the fork; it is durable when this returns.

        Raises:
            InvalidInputError: When there is no such event, or the input does not fit; nothing was
                written.
            UnknownComponentError: When another input or version is given, and the component is not
                registered here.
            RunNotFoundError: When there is no such run.

        >>> from agnt5 import Client, function, workflow
        >>> @function
        ... async def price(item: str) -> int:
        ...     return len(item)
        >>> @workflow
        ... async def bill(ctx, item: str) -> str:
        ...     return f"{item}: {await ctx.step(price, item)}"
        >>> with Client(store="memory://") as client:
        ...     first = client.run("bill", {"item": "lamp"}, "workflow")
        ...     again = client.fork(first.run_id, at=2, input_data={"item": "chair"})
        ...     print(client.wait_for_result(again.run_id).output)
        chair: 5
        """
        changes = _changes(input_data, version, identity, new_run_id, reason)
        return self._ask(lambda rt: rt.operating.fork(run_id, at, changes))

    def preview_fork(
        self,
        run_id: str,
        at: int | None = None,
        *,
        input_data: Mapping[str, Any] | None = None,
        version: str | None = None,
        identity: Identity | None = None,
    ) -> ForkPreview:
        """What :meth:`fork` would do with these arguments; nothing is written and no effect leaves.

        If the code is registered here, its body is run over what would be kept, as on any replay.

        Returns:
            What is kept, what the origin has done since that the fork will do again, with which
            idempotency keys, and whether the code asks for what is kept and what it asks for then.

        Raises:
            InvalidInputError: As for :meth:`fork`.
            UnknownComponentError: The same.
            RunNotFoundError: When there is no such run.
        """
        changes = _changes(input_data, version, identity)
        return self._ask(lambda rt: rt.operating.preview_fork(run_id, at, changes))

    def retry(
        self,
        run_id: str,
        *,
        version: str | None = None,
        new_run_id: str | None = None,
        after_cleanup: bool = False,
        reason: str | None = None,
    ) -> SubmitResponse:
        """Try a run again that failed or was cancelled: a fork just before its failure.

        The call whose failure ended it is asked for again, with fresh attempts and the idempotency
        key that it had; everything before it is kept. If its own code has raised, that goes on
        from the last event. A run that was cancelled, or took too long, goes on where it stood. A
        function's run begins anew.

        Args:
            run_id: The run that failed.
            version: The version of the workflow that goes on with it; its own if not given.
            new_run_id: An id of your own for the new run, unique in the store.
            after_cleanup: Also when the run went on to other steps after its failure. If these
                have undone what was done before, the new run does not know of it.
            reason: Why, for the log.

        Returns:
            The id of the new run; it is durable when this returns.

        Raises:
            InvalidInputError: When the run has not ended, or has ended well; or has done other
                steps after its failure.
            RunNotFoundError: When there is no such run.
        """
        changes = _changes(None, version, None, new_run_id, reason)
        return self._ask(
            lambda rt: rt.operating.retry(run_id, changes, after_cleanup=after_cleanup)
        )

    def preview_retry(
        self,
        run_id: str,
        *,
        version: str | None = None,
    ) -> ForkPreview:
        """What :meth:`retry` would do, as :meth:`preview_fork` says it; nothing is written.

        Raises:
            InvalidInputError: When the run has not ended, or has ended well.
            RunNotFoundError: When there is no such run.
        """
        changes = _changes(None, version)
        return self._ask(lambda rt: rt.operating.preview_retry(run_id, changes))

    def what_if(
        self,
        run_id: str,
        workflow: object = None,
        *,
        at: int | None = None,
    ) -> ReplayReport:
        """Run code over what is recorded of a run, up to the first thing that is not recorded.

        Nothing is executed or written: no effect leaves, and no event is appended. The body runs
        as on any replay, with the outcomes that the log holds.

        Args:
            run_id: The run.
            workflow: The code: what ``@workflow`` or ``@function`` made; it need not be registered
                under the name of the run. What is registered for the run if not given.
            at: Only up to this event, as for :meth:`fork`.

        Returns:
            Whether the code asks for what is recorded, or where it no longer does; which arguments
            and results differ; what it would do next.

        Raises:
            ConfigurationError: When ``workflow`` is none.
            InvalidInputError: When there is no such event.
            UnknownComponentError: When none is given and none is registered.
            RunNotFoundError: When there is no such run.
        """
        return self._ask(lambda rt: rt.operating.what_if(run_id, workflow, at))


class AsyncClientOperating(AwaitingClient):
    """Operate runs, awaited."""

    async def pause(
        self, run_id: str, reason: str | None = None, *, children: bool = False
    ) -> StatusResponse:
        """Have a run stand still. See :meth:`Client.pause`."""
        return await self._ask(lambda rt: rt.operating.pause(run_id, reason, children=children))

    async def rerun(
        self,
        run_id: str,
        *,
        input_data: Mapping[str, Any] | None = None,
        version: str | None = None,
        new_run_id: str | None = None,
    ) -> SubmitResponse:
        """Start a new run with the input of another. See :meth:`Client.rerun`."""
        changes = _changes(input_data, version, run_id=new_run_id)
        return await self._ask(lambda rt: rt.operating.rerun(run_id, changes))

    async def fork(
        self,
        run_id: str,
        at: int | None = None,
        *,
        input_data: Mapping[str, Any] | None = None,
        version: str | None = None,
        identity: Identity | None = None,
        new_run_id: str | None = None,
        reason: str | None = None,
    ) -> SubmitResponse:
        """Begin a new run with the first events of another. See :meth:`Client.fork`."""
        changes = _changes(input_data, version, identity, new_run_id, reason)
        return await self._ask(lambda rt: rt.operating.fork(run_id, at, changes))

    async def preview_fork(
        self,
        run_id: str,
        at: int | None = None,
        *,
        input_data: Mapping[str, Any] | None = None,
        version: str | None = None,
        identity: Identity | None = None,
    ) -> ForkPreview:
        """What a fork would do. See :meth:`Client.preview_fork`."""
        changes = _changes(input_data, version, identity)
        return await self._ask(lambda rt: rt.operating.preview_fork(run_id, at, changes))

    async def retry(
        self,
        run_id: str,
        *,
        version: str | None = None,
        new_run_id: str | None = None,
        after_cleanup: bool = False,
        reason: str | None = None,
    ) -> SubmitResponse:
        """Try a failed run again. See :meth:`Client.retry`."""
        changes = _changes(None, version, None, new_run_id, reason)
        return await self._ask(
            lambda rt: rt.operating.retry(run_id, changes, after_cleanup=after_cleanup)
        )

    async def preview_retry(
        self,
        run_id: str,
        *,
        version: str | None = None,
    ) -> ForkPreview:
        """What a retry would do. See :meth:`Client.preview_retry`."""
        changes = _changes(None, version)
        return await self._ask(lambda rt: rt.operating.preview_retry(run_id, changes))

    async def what_if(
        self,
        run_id: str,
        workflow: object = None,
        *,
        at: int | None = None,
    ) -> ReplayReport:
        """Run code over what is recorded. See :meth:`Client.what_if`."""
        return await self._ask(lambda rt: rt.operating.what_if(run_id, workflow, at))
