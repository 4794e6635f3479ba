"""A log that encrypts every fact on its way into the store inside, and decrypts it on the way out.

AES-256-GCM, with a random nonce for each fact, bound to its place (stream, version, topic, time,
event id, step). The names of data keys lie beside the facts, the data keys in the store's vault,
wrapped by the keyring. Index rows stay in clear, but for the digests of inputs.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from agnt5.events.index import NO_RUN, IndexChange, KeyBinding, RunRow
from agnt5.events.leases import Lease
from agnt5.events.log import Append, Beginning, LogView, RawFact, Removal, Sink, StoredFact
from agnt5.events.matching import group_of, matches
from agnt5.events.query import EventQuery
from agnt5.events.sealing import bound, clear_part, enveloped, marked, opened
from agnt5.events.stores.data_keys import DataKeys, OpenKey, Recent
from agnt5.events.stores.passing import PassingLog, StoreLog
from agnt5.events.stores.sealed_view import SealedView
from agnt5.events.vault import SHREDDED_DIGEST, DataKey
from agnt5.exceptions import StoreCorruptError, StoreError
from agnt5.keyring import NONCE_BYTES, Keyring
from agnt5.privacy_errors import ShreddedError

_PAGE = 500
_DIGEST = "sealed:"


@dataclass(slots=True, eq=False)
class _Sealed(Append):
    """An append as the store gets it, and the one that it stands for."""

    outer: Append | None = field(default=None)
    keys: list[tuple[str, int, OpenKey]] = field(default_factory=list)
    """By stream that it extends, or that begins with it: after which version, and with which key.
    """


class SealedLog(PassingLog[StoreLog]):
    """The EventLog and Leases ports over a store whose facts are encrypted."""

    def __init__(
        self, log: StoreLog, keyring: Keyring, *, now: int, readonly: bool = False
    ) -> None:
        """Encrypt what goes into this log, and decrypt what comes out.

        Raises:
            EncryptionKeyError: When a key that the store needs is missing, or is another one.
        """
        super().__init__(log)
        self.keys = DataKeys(log.vault, keyring)
        self._of_stream: Recent[str, OpenKey] = Recent()
        # Of streams whose first append is under way. It may fail: the id may be taken.
        self._beginning: dict[str, OpenKey] = {}
        if not readonly:
            self.keys.open(now)

    @property
    def owner(self) -> object:
        """The name under which the store inside has claimed its scope."""
        return getattr(self.inner, "owner", None)

    # Leases: they are no secret

    def claim(self, scope: str, owner: str) -> Lease:
        """Become the owner of a scope, with a new epoch."""
        return self.inner.claim(scope, owner)

    def release(self, lease: Lease) -> None:
        """Give a lease up."""
        self.inner.release(lease)

    def current(self, scope: str) -> Lease | None:
        """The lease that stands, or None."""
        return self.inner.current(scope)

    # Keys

    def rotate(self, now: int) -> int:
        """Wrap every data key with the newest master key, in batches; answers how many."""
        return self.keys.rewrap(now)

    def retire(self, subject: str, now: int) -> list[str]:
        """Let the subject's new runs have a new key; answers the names of the keys until now."""
        return self.keys.retire(subject, now)

    def wait_for(self, names: Sequence[str]) -> None:
        """Wait until no append is under way that was encrypted with one of these keys."""
        self.keys.wait_for(names)

    def key_name_of(self, run_id: str) -> str | None:
        """The name of the key that a run began with; None if it began in clear."""
        first = self.inner.read(run_id, upto=1)
        envelope = opened(first[0].state) if first else None
        return None if envelope is None else envelope.key_name

    def destroy(self, names: Sequence[str], at: int) -> bool:
        """Shred keys, and forget them."""
        is_scrubbed = self.inner.vault.shred(names, at)
        self.keys.forget(names)
        for stream in [s for s, key in list(self._of_stream.items()) if key.name in names]:
            self._of_stream.pop(stream, None)
        return is_scrubbed

    def records(self, run_ids: Sequence[str]) -> tuple[int, int]:
        """Of these runs: how many facts are encrypted, and how many lie there in clear."""
        return self.inner.vault.records(run_ids)

    # Writing

    def start(self, sink: Sink) -> None:
        """Begin to write. The sink gets the appends that were handed over, in clear."""

        def settle(settled: Sequence[Append]) -> None:
            sink([self._settled(each) for each in settled])

        self.inner.start(settle)

    def append(self, requests: Sequence[Append]) -> None:
        """Encrypt appends and hand them over, in order."""
        self.inner.append([self._sealed(each) for each in requests])

    def rebuild(self, rows: list[IndexChange]) -> None:
        """Drop every index row and write these."""
        self.inner.rebuild([self._rebuilt(row) for row in rows])

    def forget(self, removals: Sequence[Removal]) -> list[str]:
        """Delete runs, with their rows and keys. One that begins anew is given a key anew."""
        gone = self.inner.forget(removals)
        for stream in gone:
            self._of_stream.pop(stream, None)
        return gone

    def _settled(self, inner: Append) -> Append:
        if not isinstance(inner, _Sealed) or inner.outer is None:
            return inner
        for stream, after, key in inner.keys:
            self.keys.settled(key, is_written=inner.error is None)
            if not after:
                self._beginning.pop(stream, None)
                if inner.error is None:
                    self._of_stream[stream] = key
        inner.outer.error = inner.error
        return inner.outer

    def _sealed(self, outer: Append) -> Append:
        inner = _Sealed(
            outer.stream,
            outer.after,
            (),
            outer.changes,
            outer.chain,
            outer.on_settled,
            outer.urgent,
            outer.edge,
            outer.error,
            outer.volatile,
            outer=outer,
        )
        try:
            key = self._take_key(inner, outer, outer.after)
            inner.facts = self._seal(key, outer, outer.after)
            inner.changes = [self._sealed_change(change, key) for change in outer.changes]
            if outer.begins is not None:
                inner.begins = self._sealed_beginning(inner, outer.begins)
            inner.data_keys = [key.row for _, _, key in inner.keys if not key.is_kept]
        except StoreError as error:
            # Settled as failed by the store, so that all are settled in their order.
            outer.chain.broken = outer.chain.broken or error
        return inner

    def _sealed_beginning(self, inner: _Sealed, begins: Beginning) -> Beginning:
        key = self._take_key(inner, begins, 0)
        changes = [self._sealed_change(change, key) for change in begins.changes]
        return Beginning(begins.stream, self._seal(key, begins, 0), changes)

    def _take_key(self, inner: _Sealed, part: Append | Beginning, after: int) -> OpenKey:
        with self.keys.lock:
            key = self._key_for(part, after)
            self.keys.begin(key)
        inner.keys.append((part.stream, after, key))
        return key

    def _key_for(self, append: Append | Beginning, after: int) -> OpenKey:
        stream = append.stream
        at = append.facts[0].at if append.facts else 0
        if not after:
            subject = self._subject_of(append, after)
            begun = self._beginning[stream] = self.keys.of_subject(subject, at)
            return begun
        found = self._of_stream.get(stream)
        if found is not None:
            return found
        first = self.inner.read(stream, upto=1)
        envelope = opened(first[0].state) if first else None
        named = self.keys.named(envelope.key_name, stream) if envelope else None
        if isinstance(named, DataKey):
            msg = f"run {stream!r} was shredded: nothing can be added to it"
            raise ShreddedError(msg, stream, named.shredded_at or 0)
        found = named or self._beginning.get(stream)
        if found is None:
            found = self.keys.of_subject(self._subject_of(append, after), at)
        self._of_stream[stream] = found
        return found

    def _subject_of(self, append: Append | Beginning, after: int) -> str | None:
        if append.stream.startswith(NO_RUN):
            return None
        for change in append.changes:
            if isinstance(change, RunRow) and change.run_id == append.stream:
                return change.user_id
        row = self.inner.run_row(append.stream) if after else None
        return None if row is None else row.user_id

    def _seal(self, key: OpenKey, part: Append | Beginning, after: int) -> list[RawFact]:
        cipher = self.keys.cipher(key, part.stream)
        facts: list[RawFact] = []
        for version, fact in enumerate(part.facts, after + 1):
            clear = clear_part(fact.topic, fact.state, key.name)
            place = (part.stream, version, fact.topic, fact.at, fact.event_id, fact.step)
            nonce = secrets.token_bytes(NONCE_BYTES)
            sealed = cipher.encrypt(nonce, fact.state, bound(place, key.name, clear))
            state = enveloped(key.name, clear, base64.b64encode(nonce + sealed))
            facts.append(RawFact(fact.topic, state, fact.at, fact.event_id, fact.step))
        return facts

    # Digests of inputs: from a digest of one of few possible inputs, the input could be guessed.

    def _sealed_change(self, change: IndexChange, key: OpenKey) -> IndexChange:
        if not isinstance(change, KeyBinding) or not change.input_digest:
            return change
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher = self.keys.cipher(key, change.scope)
        sealed = cipher.encrypt(nonce, change.input_digest.encode(), change.run_id.encode())
        text = f"{_DIGEST}{key.name}:{base64.b64encode(nonce + sealed).decode()}"
        return replace(change, input_digest=text)

    def _rebuilt(self, change: IndexChange) -> IndexChange:
        if not isinstance(change, KeyBinding) or not change.input_digest:
            return change
        key: OpenKey | DataKey = self.keys.of_subject(None, 0)
        if not change.run_id.startswith(NO_RUN):
            name = self.key_name_of(change.run_id)
            key = key if name is None else self.keys.named(name, change.run_id)
        if isinstance(key, DataKey):
            return replace(change, input_digest=SHREDDED_DIGEST)
        return self._sealed_change(change, key)

    def key_binding(self, scope: str) -> KeyBinding | None:
        """The run that an idempotency key names, or None."""
        found = self.inner.key_binding(scope)
        return None if found is None else self._unsealed_binding(found)

    def _unsealed_binding(self, found: KeyBinding) -> KeyBinding:
        if not found.input_digest.startswith(_DIGEST):
            return found
        scope = found.scope
        name, _, text = found.input_digest.removeprefix(_DIGEST).partition(":")
        key = self.keys.named(name, found.run_id)
        if not isinstance(key, OpenKey):
            return replace(found, input_digest=SHREDDED_DIGEST)
        plain = self._decrypted(key, scope, text.encode(), found.run_id.encode(), repr(scope))
        return replace(found, input_digest=plain.decode())

    # Reading

    def read(
        self, stream: str, *, after: int = 0, upto: int | None = None, limit: int | None = None
    ) -> list[StoredFact]:
        """Facts with ``after < version <= upto``, in order; shredded ones are marked."""
        found = self.inner.read(stream, after=after, upto=upto, limit=limit)
        return [self._unsealed(fact) for fact in found]

    def read_many(self, streams: Sequence[str]) -> dict[str, list[StoredFact]]:
        """Whole streams, in one go."""
        found = self.inner.read_many(streams)
        return {name: [self._unsealed(fact) for fact in facts] for name, facts in found.items()}

    def last(self, stream: str) -> StoredFact | None:
        """The last fact of a stream."""
        found = self.inner.last(stream)
        return None if found is None else self._unsealed(found)

    def query(self, query: EventQuery, limit: int) -> list[StoredFact]:
        """The first facts that are asked for. Who has answered a question is encrypted as well."""
        if query.actor is None:
            return [self._unsealed(fact) for fact in self.inner.query(query, limit)]
        found: list[StoredFact] = []
        rest = _about_replies(query)
        while len(found) < limit:
            page = self.inner.query(rest, _PAGE)
            plain = [self._unsealed(fact) for fact in page]
            found += [fact for fact in plain if self._is_by(query, fact)]
            if len(page) < _PAGE:
                break
            last = page[-1].position
            rest = replace(rest, upto=last - 1) if query.backward else replace(rest, after=last)
        return found[:limit]

    def count(self, query: EventQuery, by: str | None) -> dict[str | None, int]:
        """How many facts are asked for, by one of ``GROUPS``."""
        if query.actor is None:
            return self.inner.count(query, by)
        counts: Counter[str | None] = Counter()
        after = query.after
        while page := self.query(replace(query, after=after, backward=False), _PAGE):
            for fact in page:
                row = self.inner.run_row(fact.stream)
                counts[None if by is None else group_of(by, fact, row)] += 1
            after = page[-1].position
        return dict(counts)

    @contextmanager
    def view(self) -> Generator[LogView, None, None]:
        """Look at everything as of one moment."""
        with self.inner.view() as view:
            yield SealedView(view, self._unsealed, self._unsealed_binding)

    def _is_by(self, query: EventQuery, fact: StoredFact) -> bool:
        if fact.state.startswith(b'{"shredded":'):
            return False
        row = self.inner.run_row(fact.stream) if query.asks_of_run else None
        return matches(query, fact, row)

    def _unsealed(self, fact: StoredFact) -> StoredFact:
        envelope = opened(fact.state)
        if envelope is None:
            return fact
        key = self.keys.named(envelope.key_name, fact.stream)
        if not isinstance(key, OpenKey):
            return replace(fact, state=marked(fact.state, key.shredded_at or 0))
        place = (fact.stream, fact.version, fact.topic, fact.at, fact.event_id, fact.step)
        state = self._decrypted(
            key,
            fact.stream,
            envelope.sealed,
            bound(place, key.name, envelope.clear),
            f"fact {fact.version} of run {fact.stream!r} ({fact.topic})",
        )
        return StoredFact(
            fact.stream,
            fact.version,
            fact.position,
            fact.topic,
            state,
            fact.at,
            fact.event_id,
            fact.step,
        )

    def _decrypted(
        self, key: OpenKey, stream: str, sealed: bytes, context: bytes, what: str
    ) -> bytes:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra

        try:
            raw = base64.b64decode(sealed, validate=True)
            cipher = self.keys.cipher(key, stream)
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context)
        except (InvalidTag, ValueError, binascii.Error) as error:
            msg = (
                f"{what} does not decrypt with data key {key.name!r}: it, or where it stands, was"
                " changed outside of agnt5, or the file is damaged. Keep a copy of the file."
            )
            raise StoreCorruptError(msg) from error


def _about_replies(query: EventQuery) -> EventQuery:
    """What an answer of somebody is among, as far as a store can tell that cannot decrypt."""
    given = query.topics
    replies = "UserReplied"
    topics = (replies,) if given is None else tuple(t for t in given if t.startswith(replies))
    return replace(query, actor=None, topics=topics)
