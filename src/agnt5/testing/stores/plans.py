"""What the machine draws: appends, told relative to what the store will hold by then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from hypothesis import strategies as st

from agnt5.events.index import FINISHED, UNFINISHED, IndexChange, KeyBinding, RunRow
from agnt5.events.log import Append, Beginning, RawFact
from agnt5.events.query import EventQuery
from agnt5.testing.stores.driving import make_row

RUNS = ("a", "b", "c")
OTHER = "$entity/T/ä"
VOLATILE = "v"
STREAMS = (*RUNS, OTHER, VOLATILE)
HEIRS = ("a.1", "a.2", "c")
"""Streams that begin with the append of another one; one of them may be there already."""
SCOPES = ("run:1", "run:2")
OWNERS = ("w1", "w2")

# What a store might not bear: nothing at all, a zero byte, letters of many bytes, a long one.
_CONTENTS: tuple[tuple[str, bytes, str | None], ...] = (
    ("StepCompleted;v=2", b'{"n":1}', ":greet#0"),
    ("T", b"", None),
    ("Ä;v=3", b"\xc3\xa4\x00\xff", ":plan#0>:weg ä#1"),
    ("RunStarted", b"x" * 5000, None),
)
_TIMES = (1_700_000_000_000_000, 0, 2**53 + 1)
PLAIN_ROW = make_row("")


@dataclass(frozen=True)
class Put:
    """An append as it is drawn."""

    stream: str
    facts: int = 1
    off: int = 0
    """How far it misses the version that it should extend."""
    chain: int | None = None
    """Which of the chains of this life; None for one of its own."""
    row: RunRow | None = None
    """The row that is written with it; the kit gives it the name of the stream."""
    keys: tuple[tuple[str, str | None], ...] = ()
    """Keys that it binds to the stream, and whom each replaces."""
    urgent: bool = True
    edge: bool = False
    volatile: bool = False
    begins: str | None = None
    """A stream that begins with it: another one goes on in place of this one."""

    def changes(self) -> list[IndexChange]:
        """The index changes that it carries."""
        rows = [] if self.row is None else [replace(self.row, run_id=self.stream)]
        rows = [self._continued(row) for row in rows]
        return [*rows, *(KeyBinding(scope, self.stream, "d", old) for scope, old in self.keys)]

    def _continued(self, row: RunRow) -> RunRow:
        if self.stream in HEIRS:
            row = replace(row, chain=_head(self.stream))
        goes_on = self.begins not in (None, self.stream)
        return replace(row, continued_to=self.begins) if goes_on else row

    def beginning(self, serial: int) -> Beginning | None:
        """The stream that begins with it."""
        if self.begins in (None, self.stream):
            return None
        row = replace(PLAIN_ROW, run_id=self.begins, chain=_head(self.stream))
        return Beginning(self.begins, facts_after(self.begins, 0, 2, serial), [row])


def _head(stream: str) -> str:
    return stream.partition(".")[0]


def facts_after(stream: str, after: int, number: int, serial: int) -> list[RawFact]:
    """So many facts, whose content follows from their place; ``serial`` makes their ids new."""
    found: list[RawFact] = []
    for version in range(after + 1, after + number + 1):
        topic, state, step = _CONTENTS[version % len(_CONTENTS)]
        at = _TIMES[version % len(_TIMES)] + version
        found.append(RawFact(topic, state, at, f"{stream}.{version}.{serial}", step))
    return found


def _differing(row: RunRow) -> str:
    said = [
        f"{each.name}={getattr(row, each.name)!r}"
        for each in fields(row)
        if each.name != "run_id" and getattr(row, each.name) != getattr(PLAIN_ROW, each.name)
    ]
    return f"row({', '.join(said)})"


def describe(append: Append, chains: Mapping[int, int] | None = None) -> str:
    """An append in one line: ``a: 2 facts after 3, key k``."""
    number = len(append.facts)
    words = [f"{append.stream}: {number} fact{'' if number == 1 else 's'} after {append.after}"]
    for change in append.changes:
        if isinstance(change, RunRow):
            words.append(_differing(change))
        else:
            given_on = "" if change.replaces is None else f" from {change.replaces}"
            words.append(f"key {change.scope}{given_on}")
    if chains is not None and id(append.chain) in chains:
        words.append(f"chain {chains[id(append.chain)]}")
    if append.begins is not None:
        words.append(f"begins {append.begins.stream}")
    words += [name for name in ("edge", "volatile") if getattr(append, name)]
    if not append.urgent:
        words.append("not urgent")
    return ", ".join(words)


def _row(status: str, parked: bool, wake_at: int | None, rest: RunRow) -> RunRow:
    owes = rest.owes and status in FINISHED
    return replace(rest, status=status, parked=parked, wake_at=wake_at, owes=owes)


_rests = st.just(PLAIN_ROW) | st.builds(
    replace,
    st.just(PLAIN_ROW),
    component=st.sampled_from(["greet", "order", "ä"]),
    kind=st.sampled_from(["workflow", "function"]),
    created_at=st.sampled_from([1, 2**53 + 1]),
    started_at=st.sampled_from([None, 2]),
    finished_at=st.sampled_from([None, 3]),
    version_label=st.sampled_from([None, "v1"]),
    session_id=st.sampled_from([None, "s"]),
    user_id=st.sampled_from([None, "u"]),
    parent_run_id=st.sampled_from([None, "a", "p"]),
    key_scope=st.sampled_from([None, "workflow:order:k"]),
    owes=st.booleans(),
    queue=st.sampled_from([None, "mail"]),
    priority=st.sampled_from([0, -3, 7]),
    caller_trace_id=st.sampled_from([None, "0af7651916cd43dd8448eb211c80319c"]),
)
_rows = st.builds(
    _row,
    st.sampled_from([*UNFINISHED, *FINISHED]),
    st.booleans(),
    st.sampled_from([None, 3, 5, 9]),
    _rests,
)
_key = st.tuples(st.sampled_from(["k", "l"]), st.sampled_from([None, None, *RUNS]))
# Not `max_size`: what is drawn as one of a few is drawn often enough.
_keys = st.sampled_from([0, 0, 1, 2]).flatmap(lambda n: st.lists(_key, min_size=n, max_size=n))
_keys_of_append = _keys.map(tuple)
_offsets = st.sampled_from([0, 0, 0, 0, 0, 0, -1, 1])
_sizes = st.sampled_from([1, 1, 2, 3, 0])
_chains = st.sampled_from([None, None, 0, 1])

_of_runs = st.builds(
    Put,
    st.sampled_from(RUNS),
    _sizes,
    _offsets,
    _chains,
    st.none() | _rows,
    _keys_of_append,
    st.sampled_from([True, True, False]),
    st.sampled_from([False, False, True]),
)
_that_begin = st.builds(
    Put,
    st.sampled_from(("a", "b", "a.1")),
    st.sampled_from([1, 2]),
    _offsets,
    _chains,
    _rows,
    _keys_of_append,
    begins=st.sampled_from(HEIRS),
)
_of_others = st.builds(
    Put,
    st.just(OTHER),
    _sizes,
    _offsets,
    _chains,
    keys=_keys_of_append,
    urgent=st.booleans(),
)
# Always with facts and its row: that is how a log with room in memory knows the stream.
_of_volatile = st.builds(
    Put,
    st.just(VOLATILE),
    st.sampled_from([1, 2]),
    _offsets,
    row=_rows,
    keys=st.sampled_from([(), (), (("vk", None),), (("vk", VOLATILE),)]),
    urgent=st.booleans(),
    volatile=st.just(True),
)

puts = _of_runs | _of_runs | _of_runs | _that_begin | _of_others | _of_volatile
"""One append."""
groups = st.lists(puts, min_size=1, max_size=5)
"""What is handed over in one call."""
subsets = st.sampled_from([(), RUNS[:1], RUNS[1:2], RUNS, STREAMS]).map(frozenset)
"""Some of the streams."""
scopes = st.sampled_from([(), ("k",), ("k", "l", "vk", "none")])
"""Some of the keys."""

# Many conditions at once leave nothing to find.
_MOSTLY = (None,) * 8
queries = st.builds(
    EventQuery,
    run_ids=st.sampled_from([*_MOSTLY, (), ("a",), ("a", "c", OTHER)]),
    component=st.sampled_from([*_MOSTLY, "greet", "order"]),
    kind=st.sampled_from([*_MOSTLY, "workflow"]),
    status=st.sampled_from([*_MOSTLY, "running", "failed"]),
    session_id=st.sampled_from([*_MOSTLY, "s"]),
    user_id=st.sampled_from([*_MOSTLY, "u"]),
    idempotency_key=st.sampled_from([*_MOSTLY, "k"]),
    topics=st.sampled_from([*_MOSTLY, (), ("T",), ("StepCompleted;v=2", "RunStarted")]),
    step=st.sampled_from([*_MOSTLY, "greet", "weg ä"]),
    since=st.sampled_from([*_MOSTLY, 2, _TIMES[0]]),
    until=st.sampled_from([*_MOSTLY, 3, _TIMES[2]]),
    after=st.sampled_from([0, 0, 0, 1, 3]),
    upto=st.sampled_from([*_MOSTLY, 1, 4]),
    backward=st.booleans(),
)
"""What is asked of the whole log. Not by whom something was answered: no state is one of agnt5."""
