"""The Care port: what a store that lies on a disk can tell of itself, and have done to itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from agnt5.events.leases import Ownership


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What a store takes on the disk, and who has it. Sizes are bytes.

    Attributes:
        path: The file.
        size: Of the file.
        schema_version: The version of its tables.
    """

    path: str
    size: int
    wal_size: int
    """Of what was written and is not yet folded into the file."""
    free_size: int
    """Of pages in the file that hold nothing; a vacuum gives them back."""
    disk_free: int
    """Left on the disk that the file is on."""
    schema_version: int
    newest_schema: int
    """The one that this agnt5 writes."""
    ownership: Ownership
    """Who has it open, or had it last."""


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What a vacuum has done. Sizes are bytes, of the file and of what lies beside it.

    Attributes:
        before: How large they were.
        after: How large they are now.
    """

    before: int
    after: int

    def __str__(self) -> str:
        """One sentence."""
        return f"{self.before:,} bytes before, {self.after:,} after"

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {"before": self.before, "after": self.after}


@runtime_checkable
class Care(Protocol):
    """A log may have it or not."""

    def figures(self) -> StoreFigures:
        """How much, and whose. Blocks for a moment. Raises StoreError."""
        ...

    def vacuum(self) -> Vacuumed:
        """Give room that nobody uses back to the disk; positions stay. Blocks for long.

        Raises:
            StoreFullError: When the disk has too little room for it. Nothing was done.
            StoreError: When it cannot be done. What was there is there.
        """
        ...
