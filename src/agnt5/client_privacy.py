"""What a client asks about the keys of an encrypted store, and about its hash chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agnt5.client_base import AwaitingClient, BlockingClient

if TYPE_CHECKING:
    from agnt5.events.chain_check import ChainReport
    from agnt5.privacy_desk import Shredded

_SHRED_S = 60.0


class Guarding(BlockingClient):
    """Rotate keys, shred, check."""

    def rotate_keys(self) -> int:
        """Wrap every data key with the newest master key of the keyring.

        Recorded events stay as they are, byte for byte, since they are encrypted with data keys.
        Afterwards no older master key is needed any more. A crash in between loses nothing: call
        it again.

        Returns:
            How many data keys were wrapped anew.

        Raises:
            ConfigurationError: When the store is not encrypted.
            EncryptionKeyError: When an older master key is missing. What was done stands.
        """
        return self._ask(lambda rt: rt.privacy.rotate_keys())

    def shred(self, subject: str, *, cancel: bool = False, timeout: float = _SHRED_S) -> Shredded:
        """Make all payloads of a person's runs unreadable for ever: destroy their data key.

        The runs stay in lists, with what is in clear; reading a payload of them gives a mark, or
        raises :class:`agnt5.ShreddedError` where it is needed. There is no way back.

        Args:
            subject: The ``user_id`` of the runs.
            cancel: Cancel runs that have not ended, and wait for them; otherwise they are in the
                way.
            timeout: How long to wait for them, seconds; 60 by default.

        Returns:
            What was done, and what is left in clear.

        Raises:
            InvalidInputError: When there are runs that have not ended. Nothing was shredded.
            ConfigurationError: When the store is not encrypted.
            StoreError: When the store cannot be written. Call it again.
        """
        return self._ask(lambda rt: rt.privacy.shred(subject, cancel=cancel, timeout=timeout))

    def sign_head(self) -> tuple[int, str] | None:
        """Sign a head of the hash chain now, over all that was recorded since the last one.

        Returns:
            Number and hash of the newest head, to be noted where nobody who can write the store
            can write; None if nothing was ever recorded.

        Raises:
            StoreError: When there is no chain, or no signing key.
        """
        return self._ask(lambda rt: rt.privacy.sign_head())

    def verify_chain(
        self, public_keys: str | Sequence[str] = (), expected: tuple[int, str] | None = None
    ) -> ChainReport:
        """Hold every recorded event to the hash chain and to the signed heads.

        Args:
            public_keys: Whose signatures are believed: ``SigningKey.public``, one or several. By
                default that of the runtime's own key.
            expected: What :meth:`sign_head` gave at an earlier time: it must still be there.

        Returns:
            What was found; look at ``ok`` and at ``problems``.

        Raises:
            ConfigurationError: When the store is in memory.
            StoreError: When the store cannot be read.
        """
        return self._ask(lambda rt: rt.privacy.verify_chain(public_keys, expected))


class AsyncGuarding(AwaitingClient):
    """The same, awaited."""

    async def rotate_keys(self) -> int:
        """Wrap every data key with the newest master key. See :meth:`Client.rotate_keys`."""
        return await self._ask(lambda rt: rt.privacy.rotate_keys())

    async def shred(
        self, subject: str, *, cancel: bool = False, timeout: float = _SHRED_S
    ) -> Shredded:
        """Destroy the data key of a person. See :meth:`Client.shred`."""
        return await self._ask(lambda rt: rt.privacy.shred(subject, cancel=cancel, timeout=timeout))

    async def sign_head(self) -> tuple[int, str] | None:
        """Sign a head of the hash chain now. See :meth:`Client.sign_head`."""
        return await self._ask(lambda rt: rt.privacy.sign_head())

    async def verify_chain(
        self, public_keys: str | Sequence[str] = (), expected: tuple[int, str] | None = None
    ) -> ChainReport:
        """Hold every recorded event to the hash chain. See :meth:`Client.verify_chain`."""
        return await self._ask(lambda rt: rt.privacy.verify_chain(public_keys, expected))
