"""Holds facts to the hash chain and to the signed heads: what was changed, added or taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agnt5.events.chain import (
    Head,
    HeadContent,
    beginning,
    content_of,
    fact_hash,
    signed_text,
)
from agnt5.events.log import StoredFact

_MOST_PROBLEMS = 1000
Verifies = Callable[[str, bytes, bytes], bool]
"""Public key, message, signature."""


@dataclass(frozen=True, slots=True)
class ChainProblem:
    """Something that does not fit the chain.

    Attributes:
        kind: ``"changed"``, ``"missing"``, ``"truncated"``, ``"unchained"`` or ``"head"``.
        stream: The run (or other stream) it is about; None: the heads.
        version: The first version that does not fit; for a head, its number.
        message: What was found, as a sentence.
    """

    kind: str
    stream: str | None
    version: int
    message: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of a hash chain has found.

    Attributes:
        begun_at: When the chain began, microseconds since the epoch; None: there is none, and
            nothing was checked.
        facts: How many facts were looked at.
        streams: How many streams they belong to.
        before_chain: How many of them are older than the chain. Where a younger fact follows in
            the same stream they are covered as they were then, elsewhere not at all.
        heads: How many signed heads there are.
        trusted_heads: How many of them a key that was given has signed.
        unsigned: How many facts are younger than the last head: cut off, they would not be missed.
        last_head: Number and hash of the last head, to be kept elsewhere.
        problems: What does not fit; at most 1000.
    """

    begun_at: int | None
    facts: int = 0
    streams: int = 0
    before_chain: int = 0
    heads: int = 0
    trusted_heads: int = 0
    unsigned: int = 0
    last_head: tuple[int, str] | None = None
    problems: tuple[ChainProblem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is a chain, and everything fits it."""
        return self.begun_at is not None and not self.problems

    def __str__(self) -> str:
        """A line for each problem, and the counts."""
        lines = [f"{problem.kind}: {problem.message}" for problem in self.problems]
        if self.begun_at is None and not lines:
            return "NOT WHOLE: there is no chain; Runtime(chain=...) begins one"
        counts = [
            f"{self.facts} events of {self.streams} streams",
            f"{self.before_chain} older than the chain",
            f"{self.unsigned} younger than the last head",
            f"{self.heads} heads, {self.trusted_heads} of them by a key that was given",
        ]
        if self.last_head is not None:
            counts.append("the last head is {}:{}".format(*self.last_head))
        return "\n".join([*lines, f"{'whole' if self.ok else 'NOT WHOLE'}: {'; '.join(counts)}"])


@dataclass(slots=True)
class _Stream:
    """The stream that is being looked at."""

    name: str
    digest: bytes
    version: int = 0
    is_chained: bool = False
    is_broken: bool = False


@dataclass(slots=True)
class ChainCheck:
    """One check. First the heads, in order; then the facts, by stream and version; then the end.

    Args:
        begun: When the chain began, and at which position, as the store says.
        public_keys: Whose signatures are believed. Without any, heads are only held to each other.
        verifies: Checks a signature.
        expected: Number and hash of a head that must be there.
    """

    begun: tuple[int, int]
    public_keys: frozenset[str]
    verifies: Verifies
    expected: tuple[int, str] | None = None
    _problems: list[ChainProblem] = field(default_factory=list)
    _promised: dict[str, tuple[int, str]] = field(default_factory=dict)
    _stream: _Stream | None = None
    _last: Head | None = None
    _trusted: int = 0
    _heads: int = 0
    _facts: int = 0
    _streams: int = 0
    _before: int = 0
    _unsigned: int = 0

    def heads(self, heads: Iterable[Head]) -> None:
        """Look at all heads, in the order of their numbers."""
        is_met = self.expected is None
        for head in heads:
            content = content_of(head.body)
            if content is None:
                self._say("head", None, head.seq, f"head {head.seq} says nothing that is known")
                continue
            self._check_head(head, content)
            self._promised.update(content.streams)
            for stream in content.gone:  # also what had grown since the last head
                self._promised.pop(stream, None)
            is_met = is_met or (head.seq, head.hash) == self.expected
            self._last, self._heads = head, self._heads + 1
        if not is_met and self.expected is not None:
            text = f"head {self.expected[0]} is not the one that was noted elsewhere, or is missing"
            self._say("head", None, self.expected[0], text)

    def _check_head(self, head: Head, content: HeadContent) -> None:
        last, seq = self._last, head.seq
        wrong: list[str] = []
        if seq != (1 if last is None else last.seq + 1):
            wrong.append(f"it follows head {0 if last is None else last.seq}: some are missing")
        elif content.previous != (None if last is None else last.hash):
            wrong.append("it names another head before it than there is")
        if (content.seq, content.position) != (seq, head.position):
            wrong.append("its columns say something else than its text")
        if content.begun != self.begun:
            wrong.append("it says that the chain began elsewhere than the store says")
        if not self.verifies(head.signer, signed_text(head.body), head.signature):
            wrong.append("its signature is not of what it says")
        elif head.signer in self.public_keys:
            self._trusted += 1
        elif self.public_keys:
            wrong.append(f"it was signed with a key that was not given, {head.signer}")
        for text in wrong:
            self._say("head", None, seq, f"head {seq}: {text}")

    def see(self, fact: StoredFact, digest: bytes | None) -> None:
        """Look at the next fact, and at the hash that lies beside it."""
        stream = self._stream
        if stream is None or stream.name != fact.stream:
            self._close()
            stream = self._stream = _Stream(fact.stream, beginning(fact.stream))
            self._streams += 1
        self._facts += 1
        if self._last is None or fact.position > self._last.position:
            self._unsigned += 1
        if stream.is_broken:
            return  # what follows a break does not fit either, and says nothing new
        if fact.version != stream.version + 1:
            text = f"version {stream.version + 1} of {fact.stream!r} is missing"
            self._break(stream, "missing", text)
            return
        self._extend(stream, fact, digest)

    def tell(self, fact: StoredFact | None, text: str) -> None:
        """Something else was changed: in a fact, or in what lies beside the facts."""
        if fact is None:
            self._say("changed", None, 0, text)
        else:
            what = f"fact {fact.version} of {fact.stream!r}"
            self._say("changed", fact.stream, fact.version, f"{what}: {text}")

    def _extend(self, stream: _Stream, fact: StoredFact, digest: bytes | None) -> None:
        stream.version = fact.version
        stream.digest = fact_hash(
            stream.digest,
            fact.stream,
            fact.version,
            fact.topic,
            fact.state,
            fact.event_id,
            fact.at,
            fact.step,
        )
        what = f"fact {fact.version} of {fact.stream!r}"
        if digest is None:
            if stream.is_chained or fact.position > self.begun[1]:
                self._break(stream, "unchained", f"{what} has no hash, and should have one")
            else:
                self._before += 1
        elif digest != stream.digest:
            text = f"{what}, or one before it that is older than the chain, was changed"
            self._break(stream, "changed", text)
        else:
            stream.is_chained = True
            self._hold(stream)

    def _hold(self, stream: _Stream) -> None:
        promised = self._promised.get(stream.name)
        if promised is None or promised[0] != stream.version:
            return
        del self._promised[stream.name]
        if promised[1] != stream.digest.hex():
            text = f"{stream.name!r} has another history up to version {stream.version} than signed"
            self._break(stream, "changed", text)

    def _close(self) -> None:
        stream = self._stream
        if stream is None:
            return
        promised = self._promised.pop(stream.name, None)
        if promised is None or stream.is_broken:
            return
        text = (
            f"{stream.name!r} ends at version {stream.version}, and a head names version"
            f" {promised[0]}: the end was cut off"
        )
        self._say("truncated", stream.name, stream.version + 1, text)

    def end(self) -> ChainReport:
        """All facts were seen."""
        self._close()
        for stream in sorted(self._promised):
            self._say("missing", stream, 1, f"{stream!r} is named by a head, and is not there")
        last = self._last
        return ChainReport(
            self.begun[0],
            self._facts,
            self._streams,
            self._before,
            self._heads,
            self._trusted,
            self._unsigned,
            None if last is None else (last.seq, last.hash),
            tuple(self._problems),
        )

    def _break(self, stream: _Stream, kind: str, text: str) -> None:
        stream.is_broken = True
        self._say(kind, stream.name, stream.version + (kind == "missing"), text)

    def _say(self, kind: str, stream: str | None, version: int, text: str) -> None:
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(ChainProblem(kind, stream, version, text))
