"""Judges what a store has answered to an append, in the order of the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agnt5.events.log import Append
from agnt5.exceptions import StaleEpochError, StoreError, VersionConflictError
from agnt5.testing.stores.model import Fate, Model, Verdict
from agnt5.testing.stores.plans import VOLATILE, describe
from agnt5.testing.stores.port import Store, StoreConformanceError


class Judge:
    """Of one life of a store.

    Attributes:
        in_trouble: The store is, or was a moment ago: what is from the edge may be refused.
        is_closing: What could not be written until the end is refused too.
    """

    def __init__(
        self,
        model: Model,
        pending: dict[Append, Append],
        written: Callable[[Append], None],
        chains: Mapping[int, int],
    ) -> None:
        self.in_trouble = False
        self.is_closing = False
        self._model = model
        self._pending = pending
        self._written = written
        self._chains = chains
        self._errors: list[StoreError] = []

    def all(self, settled: Sequence[Append]) -> None:
        """Judge those that were settled, and take them out of the pending ones."""
        for append in settled:
            given = self._take(append)
            verdict = self._model.judge(given)
            if given.error is None:
                self._accept(given, verdict)
            else:
                self._refuse(given, given.error, verdict)

    def survivors(self, store: Store, in_flight: Sequence[Append]) -> None:
        """After a crash: which of those that were under way are there; the model learns it."""
        # A new life has new chains; those that were under way are of the old one.
        for append in in_flight:
            there = store.read(append.stream, after=append.after, limit=max(1, len(append.facts)))
            ids = [fact.event_id for fact in there]
            wanted = [fact.event_id for fact in append.facts]
            is_next = self._model.tail(append.stream) == append.after
            if not (ids and wanted and is_next and ids[0] == wanted[0]):
                if self._model.judge(append).fate is not Fate.KNOWN:
                    self._model.break_chain(append.chain, StoreError)
                continue
            if ids != wanted:
                raise StoreConformanceError(
                    "atomic",
                    f"After the crash there is {ids} of an append with the facts {wanted}.",
                )
            self._accept(append, self._model.judge(append))

    def _take(self, append: Append) -> Append:
        """What was handed over, as it was then; a store may have changed what it was given."""
        given = self._pending.get(append)
        if given is None:
            raise StoreConformanceError("settled", f"Settled twice: {self._say(append)}.")
        given.error = append.error
        waiting = [each for each in self._pending.values() if each.stream != VOLATILE]
        if self.in_trouble:  # what is from the edge overtakes, and what its failure takes along
            waiting = [each for each in waiting if each.edge == given.edge]
        is_free = given.stream == VOLATILE or (
            self.in_trouble and given.chain in self._model.broken
        )
        if not is_free and waiting[0] is not given:
            raise StoreConformanceError(
                "settled", f"Settled was {self._say(given)}, before {self._say(waiting[0])}."
            )
        del self._pending[append]
        return given

    def _accept(self, append: Append, verdict: Verdict) -> None:
        if verdict.fate is Fate.LOST:
            raise StoreConformanceError(
                verdict.law,
                f"Settled without an error was {self._say(append)}; it had to be refused with "
                f"{_name(verdict.error)}.",
            )
        if verdict.fate is Fate.WRITTEN:
            self._model.apply(append)
            self._written(append)

    def _refuse(self, append: Append, error: StoreError, verdict: Verdict) -> None:
        if not isinstance(error, StoreError):
            raise StoreConformanceError(
                "no surprise", f"{self._say(append)} was refused with {error!r}, no StoreError."
            )
        if append.chain.broken is None:
            raise StoreConformanceError(
                "chain", f"{self._say(append)} was refused, and its chain is not marked as broken."
            )
        if any(error is other for other in self._errors):
            raise StoreConformanceError(
                "settled", f"{self._say(append)} has the error object of another append."
            )
        self._errors.append(error)
        self._check_error(append, error, verdict)
        self._model.break_chain(append.chain, type(error))

    def _check_error(self, append: Append, error: StoreError, verdict: Verdict) -> None:
        said = f"{self._say(append)} was refused with {type(error).__name__}: {error}"
        if verdict.fate is not Fate.LOST:
            if not self._is_excused(append, error):
                law = "trouble" if self.in_trouble else _law_of(append, error, verdict)
                raise StoreConformanceError(law, f"{said} It had to be {verdict.fate.value}.")
        elif self._is_excused(append, error):
            return
        elif verdict.error is not type(error):
            expected = _name(verdict.error)
            raise StoreConformanceError(verdict.law, f"{said} Expected was {expected}.")
        elif isinstance(error, VersionConflictError):
            about = error.stream, error.expected
            if about not in verdict.about:
                raise StoreConformanceError(
                    verdict.law,
                    f"{said} It is about {about}; expected was one of {sorted(verdict.about)}.",
                )

    def _is_excused(self, append: Append, error: StoreError) -> bool:
        is_refusal = isinstance(error, VersionConflictError | StaleEpochError)
        return self.in_trouble and (append.edge or self.is_closing) and not is_refusal

    def _say(self, append: Append) -> str:
        return f"[{describe(append, self._chains)}]"


def _law_of(append: Append, error: StoreError, verdict: Verdict) -> str:
    """Which law is broken if this error should not have been."""
    if verdict.fate is Fate.KNOWN:
        return "versions"
    is_about_keys = isinstance(error, VersionConflictError) and error.stream != append.stream
    return "keys" if is_about_keys else "neighbours"


def _name(error: type[StoreError] | None) -> str:
    return "no error" if error is None else error.__name__
