"""What a workflow asks people, and what they answer."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import cast

from agnt5.actors.branch import StepFuture
from agnt5.body_context import BodyContext
from agnt5.calls import line_of, microseconds
from agnt5.events.keys import operation_key
from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.questions import checked_answer
from agnt5.exceptions import PayloadError
from agnt5.names import check_name
from agnt5.payloads import digest, encode, to_plain
from agnt5.types import Json

_TYPES = ("text", "approval", "select", "multiselect")
_ALIASES = {"selection": "select", "choice": "multiselect"}
_APPROVAL: list[dict[str, Json]] = [
    {"id": "approve", "label": "Approve"},
    {"id": "reject", "label": "Reject"},
]


@dataclass(frozen=True)
class UserReply:
    """An answer, and what is known about it. :meth:`WorkflowContext.wait_for_reply` gives it."""

    answer: str | None
    """A text, an option's id, or several ids joined with commas; None: it was skipped."""
    actor: str | None = None
    """Who answered, as the client said it."""
    channel: str | None = None
    """By which way, such as ``email``, as the client said it."""
    reason: str | None = None
    """Why, as the client said it."""
    timed_out: bool = False
    """Nobody answered in time: the answer is the question's ``on_timeout``."""


class People(BodyContext):
    """Questions to people."""

    def wait_for_user(
        self,
        question: str,
        input_type: str = "text",
        options: Sequence[dict[str, Json]] | None = None,
        allow_custom: bool = False,
        skippable: bool = False,
        *,
        assignees: Sequence[str] | None = None,
        timeout: float | None = None,
        on_timeout: str | None = None,
    ) -> Awaitable[str | None]:
        """Ask a person and wait for the answer, for days if need be.

        Args:
            question: What the person is asked.
            input_type: ``text``, ``approval``, ``select`` or ``multiselect``.
            options: Dicts with an ``id``, unique among them, and a ``label``. An approval has
                ``approve`` and ``reject`` by default.
            allow_custom: Whether an answer may be none of the options; not by default.
            skippable: Whether the person may decline to answer; the result is None then. Not by
                default.
            assignees: Who may answer; anybody if None. Whoever answers says who it is.
            timeout: Seconds to wait; recorded, so that it holds across restarts. Without limit if
                None.
            on_timeout: The answer that stands when the time is over.

        Returns:
            The answer: a text, an option's id, or several ids joined with commas.

        Raises:
            ValueError: When the question is not one that can be answered.
            StepTimeoutError: When awaited: the time is over, and there is no ``on_timeout``.
        """
        given = _Given(question, input_type, options, allow_custom, skippable)
        return self._ask_person(given, _Limits(assignees, timeout, on_timeout), line_of(2))

    def wait_for_reply(
        self,
        question: str,
        input_type: str = "text",
        options: Sequence[dict[str, Json]] | None = None,
        allow_custom: bool = False,
        skippable: bool = False,
        *,
        assignees: Sequence[str] | None = None,
        timeout: float | None = None,
        on_timeout: str | None = None,
    ) -> Awaitable[UserReply]:
        """Ask a person, and get the answer with who gave it, how and why.

        The arguments are those of :meth:`wait_for_user`, and so is what is raised.

        Returns:
            An awaitable of a :class:`UserReply`.
        """
        given = _Given(question, input_type, options, allow_custom, skippable)
        future = self._ask_person(given, _Limits(assignees, timeout, on_timeout), line_of(2))
        future.convert = _reply
        return future

    def _ask_person(self, given: _Given, limits: _Limits, line: str) -> StepFuture:
        input_type = given.checked_type()
        if input_type != given.input_type and not self._is_silent():
            msg = f"input_type {given.input_type!r} is called {input_type!r} now"
            warnings.warn(msg, DeprecationWarning, stacklevel=3)
        options = given.checked_options(input_type)
        shown = given.shown(input_type, options)
        timeout_us, assignees = limits.timeout_us(), limits.checked_assignees()
        limits.check_on_timeout(given, input_type, options)
        branch = self.script.place()
        key = operation_key(branch.path, "wait_for_user", branch.occurrence("wait_for_user"))

        def command() -> c.RequestInput:
            return c.RequestInput(
                key,
                given.question,
                input_type,
                options,
                given.allow_custom,
                given.skippable,
                line,
                assignees,
                timeout_us,
                limits.on_timeout,
                shown,
            )

        return self.script.request(key, command, line=line)


@dataclass(frozen=True, slots=True)
class _Given:
    """A question as the body puts it."""

    question: str
    input_type: str
    options: Sequence[dict[str, Json]] | None
    allow_custom: bool
    skippable: bool

    def checked_type(self) -> str:
        if not isinstance(self.question, str):
            msg = f"a question is a text, not {self.question!r}"
            raise ValueError(msg)
        known = _ALIASES.get(self.input_type, self.input_type)
        if known not in _TYPES:
            msg = f"unknown input_type {self.input_type!r}; known: {', '.join(_TYPES)}"
            raise ValueError(msg)
        return known

    def checked_options(self, input_type: str) -> list[dict[str, Json]] | None:
        if self.options is None and input_type == "approval":
            return _APPROVAL
        if not self.options:
            if self.options is None and input_type == "text":
                return None
            msg = f"{self._what} needs options: dicts with an 'id' and a 'label', at least one"
            raise ValueError(msg)
        if isinstance(self.options, (str, dict)):
            msg = f"the options of {self._what} are a list of dicts, not {self.options!r}"
            raise ValueError(msg)
        ids: set[str] = set()
        for option in self.options:
            self._check_option(option, ids, several=input_type == "multiselect")
        return [self._recorded(option) for option in self.options]

    def _recorded(self, option: dict[str, Json]) -> dict[str, Json]:
        """As it is shown: dates and the like as text, as JSON has none."""
        try:
            encode(option)
        except PayloadError as error:
            msg = f"an option of {self._what} cannot be recorded: {error}"
            raise ValueError(msg) from error
        return cast("dict[str, Json]", to_plain(option))

    def _check_option(self, option: object, ids: set[str], *, several: bool) -> None:
        known = option.get("id") if isinstance(option, dict) else None
        if not isinstance(known, str) or not known.strip():
            msg = f"an option of {self._what} is a dict whose 'id' is a text, not {option!r}"
            raise ValueError(msg)
        if known in ids:
            msg = f"two options of {self._what} have the id {known!r}"
            raise ValueError(msg)
        if several and ("," in known or known != known.strip()):
            msg = (
                f"the id {known!r} of an option of {self._what} has a comma or spaces around it,"
                " and answers are ids joined with commas"
            )
            raise ValueError(msg)
        ids.add(known)

    def shown(self, input_type: str, options: list[dict[str, Json]] | None) -> str:
        about = cast("Json", {"input_type": input_type, "options": options})
        try:
            return digest({"question": self.question, "about": about})
        except PayloadError as error:
            msg = f"{self._what} cannot be recorded: {error}"
            raise ValueError(msg) from error

    @property
    def _what(self) -> str:
        return f"the question {self.question!r} ({self.input_type})"


@dataclass(frozen=True, slots=True)
class _Limits:
    """Who may answer, and until when."""

    assignees: Sequence[str] | None
    timeout: float | None
    on_timeout: str | None

    def timeout_us(self) -> int | None:
        if self.timeout is None:
            return None
        return microseconds(self.timeout, "the timeout of a question")

    def checked_assignees(self) -> list[str] | None:
        if self.assignees is None:
            return None
        if isinstance(self.assignees, str) or not self.assignees:
            msg = f"assignees is a list of names, or None for anybody, not {self.assignees!r}"
            raise ValueError(msg)
        for name in self.assignees:
            check_name(name, "an assignee")
        return list(self.assignees)

    def check_on_timeout(
        self, given: _Given, input_type: str, options: list[dict[str, Json]] | None
    ) -> None:
        if self.on_timeout is None:
            return
        if self.timeout is None:
            msg = "on_timeout is the answer after a timeout: give a timeout, too"
            raise ValueError(msg)
        if not isinstance(self.on_timeout, str):
            msg = f"on_timeout is an answer, and so a text, not {self.on_timeout!r}"
            raise ValueError(msg)
        if self.on_timeout:
            check_name(self.on_timeout, "on_timeout", None)
        asked = f.UserInputRequested(
            key="",
            question=given.question,
            input_type=input_type,
            options=options,
            allow_custom=given.allow_custom,
        )
        checked_answer(asked, self.on_timeout)


def _reply(outcome: f.UserReplied | f.UserInputExpired) -> UserReply:
    match outcome:
        case f.UserReplied():
            return UserReply(outcome.answer, outcome.actor, outcome.channel, outcome.reason)
        case f.UserInputExpired():
            return UserReply(outcome.answer, timed_out=True)
