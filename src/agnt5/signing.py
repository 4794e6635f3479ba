"""Who signs the heads of a hash chain: an Ed25519 key, which is kept outside of the store.

The library `cryptography` (the extra `encryption`) is imported when the first key is made.
"""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from agnt5.exceptions import ConfigurationError
from agnt5.keyring import KEY_BYTES, decoded_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519

SIGNING_VARIABLE = "AGNT5_SIGNING_KEY"


class SigningKey:
    """Signs the heads of a hash chain.

    Args:
        secret: 32 random bytes, or base64 of them; :meth:`new_secret` makes them.

    Raises:
        ConfigurationError: When they are not, or `cryptography` is not installed.

    >>> key = SigningKey(SigningKey.new_secret())
    >>> verifies(key.public, b"a head", key.sign(b"a head"))
    True
    """

    def __init__(self, secret: bytes | str) -> None:
        raw = decoded_key(secret, "the secret of a SigningKey")
        private, _ = _ed25519()
        self._key = private.from_private_bytes(raw)

    @classmethod
    def from_environment(cls, variable: str = SIGNING_VARIABLE) -> SigningKey:
        """The key whose secret is in an environment variable, as base64.

        Raises:
            ConfigurationError: When it is not set, or holds something else.
        """
        secret = os.environ.get(variable)
        if not secret:
            raise ConfigurationError(f"{variable} is not set: it takes base64 of a signing secret")
        return cls(secret)

    @staticmethod
    def new_secret() -> str:
        """New random bytes for a key, as base64 text to keep in a secret store."""
        return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()

    @property
    def public(self) -> str:
        """The public key, as base64: enough to verify, and no secret."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SigningKey holds a secret and cannot be pickled or copied")


def verifies(public: str, message: bytes, signature: bytes) -> bool:
    """Whether the signature of a message was made with the key of this public key.

    Raises:
        ConfigurationError: When that is no public key, or `cryptography` is not installed.
    """
    key = decoded_key(public, "a public key")
    _, public_key = _ed25519()
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    try:
        public_key.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def is_signed(public: str, message: bytes, signature: bytes) -> bool:
    """As :func:`verifies`, of a public key that may be none: then nothing is signed with it.

    Raises:
        ConfigurationError: When `cryptography` is not installed.
    """
    _ed25519()
    try:
        return verifies(public, message, signature)
    except ConfigurationError:
        return False


@dataclass(frozen=True, slots=True)
class HashChain:
    """How a store is made tamper-evident. Once begun, the chain of a store goes on for good.

    Attributes:
        signing_key: Signs heads; None: the facts are chained, and no head is signed.
        every: Facts between two heads; there is also one when the runtime closes.
    """

    signing_key: SigningKey | None = None
    every: int = 1000

    @property
    def begins(self) -> bool:
        """Whether it begins a chain where there is none."""
        return True

    def __post_init__(self) -> None:
        given: object = self.signing_key
        if given is not None and not isinstance(given, SigningKey):
            raise ConfigurationError(f"signing_key takes a SigningKey, not {given!r:.80}")
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ConfigurationError(f"every takes a number of at least 1, not {self.every!r}")


class ContinuedChain(HashChain):
    """How a chain that is there goes on. It begins none."""

    @property
    def begins(self) -> bool:
        """No."""
        return False


def chain_of(given: HashChain | bool | None) -> HashChain | None:
    """The chain that a setting asks for; without one, the key in the environment goes on signing.

    Raises:
        ConfigurationError: When it is no such setting.
    """
    if given is None and os.environ.get(SIGNING_VARIABLE):
        return ContinuedChain(SigningKey.from_environment())
    if given is None or given is False:
        return None
    if given is True:
        return HashChain()
    if isinstance(given, HashChain):
        return given
    raise ConfigurationError(f"chain takes True or a HashChain, not {given!r:.80}")


def _ed25519() -> tuple[type[ed25519.Ed25519PrivateKey], type[ed25519.Ed25519PublicKey]]:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - an extra
            Ed25519PrivateKey,
            Ed25519PublicKey,
        )
    except ImportError as error:
        msg = "signed heads need the extra: pip install 'agnt5-actors[encryption]'"
        raise ConfigurationError(msg) from error
    return Ed25519PrivateKey, Ed25519PublicKey
