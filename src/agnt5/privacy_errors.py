"""Errors of encrypted stores. In the tree of :mod:`agnt5.exceptions` they hang under StoreError.

::

    StoreError
    ├── EncryptionKeyError            yours: a key is missing, or it is another one
    └── ShreddedError                 the data were destroyed on purpose
"""

from __future__ import annotations

from agnt5.exceptions import StoreError


class EncryptionKeyError(StoreError):
    """Recorded data are encrypted, and the key is missing or is not the one. Nothing was changed.

    Attributes:
        key_id: The key that is needed; empty if none is known.
        run_id: The run, or another stream, that was read; empty if it was none.
    """

    code = "ENCRYPTION_KEY"

    def __init__(self, message: str, key_id: str = "", run_id: str = "") -> None:
        super().__init__(message, key_id, run_id)
        self.key_id = key_id
        self.run_id = run_id

    def __str__(self) -> str:
        return str(self.args[0])


class ShreddedError(StoreError):
    """The payload was shredded: its key was destroyed, and nobody can read it any more.

    Attributes:
        run_id: The run that was read.
        shredded_at: When its key was destroyed, microseconds since the epoch.
    """

    code = "SHREDDED"

    def __init__(self, message: str, run_id: str = "", shredded_at: int = 0) -> None:
        super().__init__(message, run_id, shredded_at)
        self.run_id = run_id
        self.shredded_at = shredded_at

    def __str__(self) -> str:
        return str(self.args[0])
