"""The data keys of an open store, unwrapped, in memory: whose they are, and what each run has.

Every run has a cipher of its own, derived from its data key and its id: so no key is used for more
than the facts of one run, and a fact cannot pass for one of another run.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from agnt5.events.vault import DataKey, Vault
from agnt5.exceptions import StoreError
from agnt5.keyring import KEY_BYTES, Keyring, import_aesgcm
from agnt5.privacy_errors import EncryptionKeyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_REMEMBERED = 20_000
_BATCH = 500


class LostKeyError(EncryptionKeyError):
    """The store itself has lost a data key: no key that somebody gives could help."""


K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V], Generic[K, V]):
    """The entries that were set last."""

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > _REMEMBERED:
            self.popitem(last=False)


@dataclass(slots=True, eq=False)
class OpenKey:
    """A data key that can be used."""

    row: DataKey
    secret: bytes
    is_kept: bool
    """Whether it is durable in the store for sure."""
    in_flight: int = 0
    """Appends that were encrypted with it and are not settled."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.row.name


class DataKeys:
    """Makes and finds data keys. Thread-safe."""

    def __init__(self, vault: Vault, keyring: Keyring) -> None:
        self._vault = vault
        self._keyring = keyring
        self.lock = threading.RLock()
        """Held from the choice of a key until its append counts as under way."""
        self._quiet = threading.Condition(self.lock)
        self._by_name: OrderedDict[str, OpenKey] = OrderedDict()
        self._of_subject: Recent[str | None, OpenKey] = Recent()
        self._ciphers: Recent[tuple[str, str], AESGCM] = Recent()
        self._cipher = import_aesgcm()

    def open(self, now: int) -> None:
        """See to it that every data key can be opened, and that new facts can be encrypted.

        Raises:
            EncryptionKeyError: When a master key is missing, or is another one.
        """
        for row in self._vault.masters():
            self._unwrapped(row)
        self.of_subject(None, now)
        general = self._of_subject[None]
        if not general.is_kept:
            self._vault.put(general.row)
            general.is_kept = True

    def of_subject(self, subject: str | None, now: int) -> OpenKey:
        """The key for what begins now: the subject's newest one, or a new one.

        A new one must be written with the first facts that it encrypts.
        """
        with self.lock:
            found = self._of_subject.get(subject)
            if found is not None:
                return found
            kept = [row for row in self._vault.keys_of(subject) if row.shredded_at is None]
            if kept and (subject is not None or kept[0].master == self._keyring.newest):
                found = self._by_name.get(kept[0].name) or self._opened(kept[0])
            else:
                found = self._new(subject, now)
            self._of_subject[subject] = found
            return found

    def named(self, name: str, stream: str) -> OpenKey | DataKey:
        """The key of this name; as a row, if it was shredded.

        Raises:
            LostKeyError: When the store does not have it.
            EncryptionKeyError: When it cannot be unwrapped.
        """
        with self.lock:
            found = self._by_name.get(name)
        if found is not None:
            return found
        row = self._vault.data_key(name)
        if row is None:
            msg = (
                f"what is recorded of run {stream!r} is encrypted with data key {name!r}, which is"
                " not in this store. Was a part of a file copied? Nothing was changed."
            )
            raise LostKeyError(msg, name, stream)
        if row.shredded_at is not None:
            return row
        try:
            with self.lock:
                return self._opened(row)
        except EncryptionKeyError as error:
            msg = f"run {stream!r} cannot be read (data key {name!r}): {error}"
            raise EncryptionKeyError(msg, error.key_id, stream) from error

    def cipher(self, key: OpenKey, stream: str) -> AESGCM:
        """What encrypts the facts of one stream."""
        place = (key.name, stream)
        found = self._ciphers.get(place)
        if found is None:
            secret = hmac.digest(key.secret, b"agnt5.stream.1\n" + stream.encode(), "sha256")
            found = self._cipher(secret)
            with self.lock:
                self._ciphers[place] = found
        return found

    def begin(self, key: OpenKey) -> None:
        """An append is under way that was encrypted with it."""
        with self.lock:
            key.in_flight += 1

    def settled(self, key: OpenKey, *, is_written: bool) -> None:
        """The append is settled."""
        with self.lock:
            key.in_flight -= 1
            if not key.in_flight:
                self._quiet.notify_all()
            key.is_kept = key.is_kept or is_written

    def retire(self, subject: str, now: int) -> list[str]:
        """Let what begins from now on have a new key; answers the names of the earlier ones."""
        with self.lock:
            rows = self._vault.keys_of(subject)
            names = [row.name for row in rows if row.shredded_at is None]
            current = self._of_subject.get(subject)
            if current is None or current.is_kept or current.in_flight:
                if current is not None and current.name not in names:
                    names.append(current.name)
                self._of_subject[subject] = self._new(subject, now)
            return names

    def wait_for(self, names: Sequence[str]) -> None:
        """Wait until no append is under way that was encrypted with one of these keys."""

        def is_quiet() -> bool:
            return not any(key.in_flight for n in names if (key := self._by_name.get(n)))

        with self.lock:
            self._quiet.wait_for(is_quiet)

    def forget(self, names: Sequence[str]) -> None:
        """Drop keys from memory; Python cannot overwrite them."""
        with self.lock:
            for name in names:
                self._by_name.pop(name, None)
            for place in [place for place in self._ciphers if place[0] in names]:
                del self._ciphers[place]

    def rewrap(self, now: int) -> int:
        """Wrap every data key with the newest master key, in batches; answers how many.

        Raises:
            EncryptionKeyError: When a master key is missing. What was done stands; go on with it.
        """
        newest, done = self._keyring.newest, 0
        while rows := self._vault.wrapped_otherwise(newest, _BATCH):
            changed: list[tuple[DataKey, DataKey]] = []
            for row in rows:
                secret = self._keyring.unwrap(row.master, row.wrapped, row.name)
                master, wrapped = self._keyring.wrap(secret, row.name)
                changed.append((row, replace(row, master=master, wrapped=wrapped)))
            self._vault.rewrap(changed)
            done += len(changed)
        with self.lock:
            general = self._new(None, now)
            self._vault.put(general.row)
            general.is_kept = True
            self._of_subject[None] = general
        return done

    def _new(self, subject: str | None, now: int) -> OpenKey:
        name, secret = f"d{secrets.token_hex(8)}", secrets.token_bytes(KEY_BYTES)
        master, wrapped = self._keyring.wrap(secret, name)
        row = DataKey(name, subject, master, wrapped, now)
        return self._remembered(OpenKey(row, secret, is_kept=False))

    def _opened(self, row: DataKey) -> OpenKey:
        return self._remembered(OpenKey(row, self._unwrapped(row), is_kept=True))

    def _remembered(self, key: OpenKey) -> OpenKey:
        self._by_name[key.name] = key
        if len(self._by_name) > _REMEMBERED:
            oldest = next(iter(self._by_name.values()))
            if oldest.in_flight:  # there must not be two of one name, or one is not counted
                self._by_name.move_to_end(oldest.name)
            else:
                del self._by_name[oldest.name]
        return key

    def _unwrapped(self, row: DataKey) -> bytes:
        secret = self._keyring.unwrap(row.master, row.wrapped, row.name)
        if len(secret) != KEY_BYTES:
            raise StoreError(f"the key service gave {len(secret)} bytes for data key {row.name!r}")
        return secret
