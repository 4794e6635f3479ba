"""Time, chance and decisions of a body: the same again on every replay."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from agnt5.body_context import BodyContext
from agnt5.events.keys import derived_bytes, derived_fraction, operation_key
from agnt5.names import check_name


class Recorded(BodyContext):
    """What a body may ask at any moment without waiting."""

    def now(self) -> datetime:
        """The time, in UTC: when what the body has learnt last was recorded.

        It stands still between two awaits, and a replay gives the same time again.
        """
        return datetime.fromtimestamp(self.script.time / 1e6, UTC)

    def random(self) -> float:
        """A number from 0, included, to 1, excluded; the same again on every replay.

        It follows from the run's id and the place of the call: good for samples, not for secrets.
        """
        return derived_fraction(self.script.chance, self._place_of("random"))

    def uuid4(self) -> uuid.UUID:
        """A UUID; the same again on every replay. Not for secrets, as :meth:`random` is not."""
        return uuid.UUID(
            bytes=derived_bytes(self.script.chance, self._place_of("uuid4"))[:16], version=4
        )

    def patched(self, patch_id: str) -> bool:
        """Whether this run takes a path that was added to the code under this name.

        True for a run that comes here for the first time, which is recorded; False for a run that
        went on from here with the code of before. The answer never changes within a run.

        Args:
            patch_id: A name of its own for each change.

        Raises:
            InvalidInputError: When it is no text, or empty.
        """
        check_name(patch_id, "the id of a patch")
        return self.script.patched(f"patch:{patch_id}")

    def _place_of(self, name: str) -> str:
        branch = self.script.place()
        return operation_key(branch.path, name, branch.occurrence(name))
