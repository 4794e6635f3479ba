"""What a runtime does for privacy and evidence, as settings; nothing unless they are given."""

from __future__ import annotations

import os
from dataclasses import dataclass

from agnt5.exceptions import ConfigurationError
from agnt5.keyring import KEYS_VARIABLE, Keyring
from agnt5.signing import HashChain, chain_of


@dataclass(frozen=True, slots=True)
class Privacy:
    """The keys of a store, and its hash chain."""

    keyring: Keyring | None = None
    chain: HashChain | None = None


def privacy_of(encryption: Keyring | None, chain: HashChain | bool | None) -> Privacy:
    """Settings as they were given; for what is None the environment counts, as far as it is set.

    Raises:
        ConfigurationError: When one of them is wrong.
    """
    given: object = encryption
    if given is not None and not isinstance(given, Keyring):
        raise ConfigurationError(f"encryption takes a Keyring, not a {type(given).__name__}")
    if encryption is None and os.environ.get(KEYS_VARIABLE):
        encryption = Keyring.from_environment()
    return Privacy(encryption, chain_of(chain))
