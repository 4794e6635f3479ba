"""The master keys of an encrypted store. They wrap the data keys that payloads are encrypted with.

A master key is never written anywhere: not to the store, not to a log, not into an error text. The
library `cryptography` (the extra `encryption`) is imported when the first keyring is made.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from agnt5.exceptions import ConfigurationError
from agnt5.privacy_errors import EncryptionKeyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEYS_VARIABLE = "AGNT5_ENCRYPTION_KEYS"
KEY_BYTES = 32
NONCE_BYTES = 12
"""96 random bits. Every run has its own key, so no key comes near the 2**32 messages of AES-GCM."""
TAG_BYTES = 16
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class KeyService(Protocol):
    """A service that keeps the master keys and never gives them away, such as a cloud's KMS.

    It is asked once for every data key that is made or first read, not for every payload. The
    calls block, and those of ``wrap`` come from the runtime's loop: let them be quick.
    """

    @property
    def newest(self) -> str:
        """The id of the key that wraps from now on."""
        ...

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Encrypt a data key with the newest key, bound to the context."""
        ...

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """The data key. Raises whatever it likes if it cannot."""
        ...


KeySource = Mapping[str, bytes | str] | Callable[[str], bytes | str] | KeyService
"""Where master keys come from; as texts they are base64."""


class Keyring:
    """Master keys, by id: the newest one wraps new data keys, the others open older ones.

    Args:
        keys: A dict of ids and keys, the newest first; or a function from an id to its key; or a
            service that wraps and unwraps itself, see :class:`KeyService`. A key is 32 random
            bytes, or base64 of them; :meth:`new_key` makes one.
        newest: The id of the newest key, if that is not the first of the dict.

    Raises:
        ConfigurationError: When a key or an id is wrong, or `cryptography` is not installed.

    >>> ring = Keyring({"2026-11": Keyring.new_key()})
    >>> ring
    Keyring(newest='2026-11', keys=['2026-11'])
    """

    def __init__(self, keys: KeySource, *, newest: str | None = None) -> None:
        import_aesgcm()
        self._keys: dict[str, bytes] = {}
        self._load: Callable[[str], bytes | str] | None = None
        self._service: KeyService | None = None
        if isinstance(keys, Mapping):
            self._keys = {check_key_id(name): _key(name, key) for name, key in keys.items()}
            self._newest = newest or next(iter(self._keys), "")
            if self._newest not in self._keys:
                raise ConfigurationError(f"the newest key {newest!r} is none of the keyring's keys")
        elif hasattr(keys, "unwrap"):
            self._service, self._newest = cast("KeyService", keys), ""
        elif callable(keys) and newest:
            self._load, self._newest = keys, check_key_id(newest)
        else:
            msg = (
                "a Keyring takes a dict of ids and keys, a key service, or a function with"
                " newest='ID'"
            )
            raise ConfigurationError(msg)

    @classmethod
    def from_environment(cls, variable: str = KEYS_VARIABLE) -> Keyring:
        """The keyring in an environment variable: ``ID:BASE64``, the newest first, with commas.

        Raises:
            ConfigurationError: When the variable is not set, or is no keyring.
        """
        keys: dict[str, bytes | str] = {}
        for entry in os.environ.get(variable, "").split(","):
            name, colon, key = entry.strip().partition(":")
            if not colon or name in keys:
                msg = (
                    f"{variable} holds keys as ID:BASE64, the newest first, separated by commas,"
                    " each id once"
                )
                raise ConfigurationError(msg)
            keys[name] = key
        return cls(keys)

    @staticmethod
    def new_key() -> str:
        """A new random master key, as base64 text to keep in a secret store."""
        return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()

    @property
    def newest(self) -> str:
        """The id of the key that wraps from now on."""
        return self._newest if self._service is None else check_key_id(self._service.newest)

    def wrap(self, data_key: bytes, name: str) -> tuple[str, bytes]:
        """Encrypt a data key of this name; returns the id of the master key, and the result.

        Raises:
            EncryptionKeyError: When the key cannot be had.
        """
        master = self.newest
        context = _context(name, master)
        if self._service is not None:
            try:
                return master, self._service.wrap(data_key, context)
            except Exception as error:
                raise _unusable(master, error) from error
        nonce = secrets.token_bytes(NONCE_BYTES)
        return master, nonce + self._cipher(master).encrypt(nonce, data_key, context)

    def unwrap(self, master: str, wrapped: bytes, name: str) -> bytes:
        """The data key of this name.

        Raises:
            EncryptionKeyError: When the master key is missing, or is not the one that wrapped it.
        """
        context = _context(name, master)
        try:
            if self._service is not None:
                return self._service.unwrap(master, wrapped, context)
            cipher = self._cipher(master)
            return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except EncryptionKeyError:
            raise
        except Exception as error:
            raise _unusable(master, error) from error

    def _cipher(self, master: str) -> AESGCM:
        key = self._keys.get(master)
        if key is None and self._load is not None:
            try:
                key = self._keys[master] = _key(master, self._load(master))
            except Exception as error:
                raise _unusable(master, error) from error
        if key is None:
            msg = (
                f"master key {master!r} is needed, and the keyring has only"
                f" {', '.join(map(repr, self._keys))}. Give it too: old keys are needed until"
                " rotate_keys() has wrapped everything with the newest one."
            )
            raise EncryptionKeyError(msg, master)
        return import_aesgcm()(key)

    def __repr__(self) -> str:
        if self._service is not None:
            return f"Keyring({type(self._service).__name__})"
        return f"Keyring(newest={self._newest!r}, keys={sorted(self._keys)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keyring holds secrets and cannot be pickled or copied")


def import_aesgcm() -> type[AESGCM]:
    """The cipher of the library `cryptography`.

    Raises:
        ConfigurationError: When it is not installed.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "encryption needs the extra: pip install 'agnt5-actors[encryption]'"
        raise ConfigurationError(msg) from error
    return AESGCM


def check_key_id(name: object) -> str:
    """The id of a key, if it can be one.

    Raises:
        ConfigurationError: When it cannot.
    """
    if not isinstance(name, str) or not _KEY_ID.fullmatch(name):
        msg = "the id of a key is 1 to 64 letters, digits, dots, dashes and underscores"
        raise ConfigurationError(f"{msg}, not {name!r:.80}")
    return name


def decoded_key(key: object, what: str) -> bytes:
    """32 bytes, given as such or as base64.

    Raises:
        ConfigurationError: When it is something else. It does not say what: it may be a secret.
    """
    raw = key
    if isinstance(key, str):
        try:
            raw = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raw = None
    if isinstance(raw, bytes) and len(raw) == KEY_BYTES:
        return raw
    msg = f"{what} is {KEY_BYTES} random bytes, or base64 of them; Keyring.new_key() makes one"
    raise ConfigurationError(msg)


def _key(name: str, key: object) -> bytes:
    return decoded_key(key, f"master key {name!r}")


def _context(name: str, master: str) -> bytes:
    return f"agnt5.data-key.1\n{name}\n{master}".encode()


def _unusable(master: str, error: Exception) -> EncryptionKeyError:
    # Of the error only its class: its text may hold what must not be seen.
    msg = (
        f"master key {master!r} does not open or close a data key ({type(error).__name__}): it is"
        " not the key that was used under this id, or its service cannot be reached. Nothing was"
        " changed."
    )
    return EncryptionKeyError(msg, master)
