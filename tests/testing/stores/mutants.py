"""The store of the how-to page with one bug each, the kind that is easy to make."""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace

from tests.testing.stores.line_log import FAULTS, LineLog, line_log

from agnt5.events.index import KeyBinding, RunRow
from agnt5.events.leases import STORE_SCOPE
from agnt5.exceptions import StaleEpochError, StoreError, VersionConflictError

MUTANTS = {}


def mutant(cls):
    """Register it."""
    MUTANTS[cls.__name__] = cls
    return cls


@contextmanager
def at_the_second_write(log):
    """For a store that needs several writes for a group: the middle lies behind the first one."""
    whole, lines = log.write, []

    def write(line):
        lines.append(line)
        if len(lines) == 2:
            raise OSError("the disk does not answer")
        whole(line)

    log.write = write
    yield
    del log.write


# Writing


@mutant
class LosesTheLastFact(LineLog):
    def commit(self, change):
        if change.get("appends") and len(change["appends"][-1]["facts"]) > 1:
            change["appends"][-1]["facts"].pop()
        super().commit(change)


@mutant
class SettlesBeforeItWrites(LineLog):
    def write_group(self, group, is_ending):
        sink, self.sink = self.sink, lambda _: None
        sink([each for each in group if not each.edge])
        self.sink = lambda settled: sink([each for each in settled if each.edge])
        waiting = super().write_group(group, is_ending)
        self.sink = sink
        return waiting


@mutant
class KeepsTheLastGroupBack(LineLog):
    """Faster: a group goes to the disk with the next one."""

    kept = b""

    def write(self, line):
        if line.startswith(b'{"kind": "appends"'):
            self.kept, line = line, self.kept
        super().write(line)

    def close(self):
        super().close()
        with self.path.open("ab") as file:
            file.write(self.kept)


@mutant
class WritesEachAppendOnItsOwn(LineLog):
    """A group is no transaction: what fails in its middle is tried again from the start."""

    faults = replace(FAULTS, strike=lambda log, _: at_the_second_write(log))

    def commit(self, change):
        for append in change.get("appends", ()):
            facts, index = append["facts"], append["index"]
            for number, fact in enumerate(facts):
                one = {**append, "facts": [fact], "index": index if number == 0 else []}
                super().commit({"kind": "appends", "appends": [one]})
            if not facts:
                super().commit({"kind": "appends", "appends": [append]})
        if change["kind"] != "appends":
            super().commit(change)


@mutant
class LeavesWhatFailed(LineLog):
    """Does not cut off what a failed write has left."""

    def commit(self, change):
        line = json.dumps(change).encode() + b"\n"
        try:
            self.write(line)
        except OSError as error:
            raise StoreError(f"{self.path} could not be written: {error}") from error
        self.size += len(line)
        self.apply(change)


@mutant
class WritesTheIndexOfTheRefused(LineLog):
    def decide(self, group):
        refused = super().decide(group)
        for append in refused:
            self.apply_index([asdict(change) for change in append.changes])
        return refused


@mutant
class ForgetsTheIndexOfTheSecond(LineLog):
    def new(self, written):
        new = super().new(written)
        for append in new[1:]:
            append.changes = [each for each in append.changes if isinstance(each, KeyBinding)]
        return new


# Settling


@mutant
class SettlesBackwards(LineLog):
    def start(self, sink):
        super().start(lambda settled: sink(settled[::-1]))


@mutant
class SettlesTwice(LineLog):
    def start(self, sink):
        super().start(lambda settled: sink([*settled, *settled[:1]]))


@mutant
class ForgetsWhatIsNotUrgent(LineLog):
    def append(self, requests):
        super().append([each for each in requests if each.urgent])


@mutant
class ClosesAtOnce(LineLog):
    """What is queued is left there."""

    def close(self):
        self.start_again = self.sink
        self.sink = lambda _: None
        super().close()


@mutant
class SharesItsErrors(LineLog):
    def decide(self, group):
        refused = super().decide(group)
        for append, error in refused.items():
            first = next(iter(refused.values()))
            refused[append] = first if type(error) is type(first) else error
        return refused


# Who is refused


@mutant
class IgnoresTheChain(LineLog):
    def decide(self, group):
        refused, tails, names = {}, {}, {scope: key.run_id for scope, key in self.keys.items()}
        for append in group:
            stands = self.leases.get(STORE_SCOPE) == self.lease
            error = self.refuse(append, tails, names) if stands else StaleEpochError("lost")
            if error:
                refused[append] = error
        return refused


@mutant
class FailsTheWholeGroup(LineLog):
    def decide(self, group):
        refused = super().decide(group)
        if refused:
            first = next(iter(refused.values()))
            return {
                append: refused.get(append) or line_log.again(first, append) for append in group
            }
        return refused


@mutant
class LooksAtTheDiskOnly(LineLog):
    """Does not see what stands before an append in its own group."""

    def refuse(self, append, tails, names):
        return super().refuse(append, {}, {scope: key.run_id for scope, key in self.keys.items()})


@mutant
class TakesAnyVersion(LineLog):
    def refuse(self, append, tails, names):
        tail = tails.get(append.stream, len(self.streams.get(append.stream, ())))
        append.after = min(append.after, tail)
        return super().refuse(append, tails, names)


@mutant
class RefusesWhatItHas(LineLog):
    def has(self, append):
        return False


@mutant
class GivesKeysAway(LineLog):
    def refuse(self, append, tails, names):
        return super().refuse(append, tails, {})


@mutant
class NeverGivesKeysOn(LineLog):
    def refuse(self, append, tails, names):
        for change in append.changes:
            if isinstance(change, KeyBinding) and change.scope in names:
                return VersionConflictError(change.scope, 0)
        return super().refuse(append, tails, names)


# Reading


@mutant
class ReadsOneTooMany(LineLog):
    def read(self, stream, *, after=0, upto=None, limit=None):
        upto = upto if upto is None else upto + 1
        return super().read(stream, after=after, upto=upto, limit=limit)


@mutant
class TakesNoLimitForZero(LineLog):
    def read(self, stream, *, after=0, upto=None, limit=None):
        return super().read(stream, after=after, upto=upto, limit=limit or None)


@mutant
class LeavesOutUnknownStreams(LineLog):
    def read_many(self, streams):
        return {stream: facts for stream, facts in super().read_many(streams).items() if facts}


@mutant
class CallsEveryStreamARun(LineLog):
    def run_ids(self):
        return sorted(self.streams)


@mutant
class CountsPositionsAnew(LineLog):
    """From the number of lines, once it is opened again."""

    def __init__(self, path, owner="me"):
        super().__init__(path, owner)
        self.highest //= 2


@mutant
class AsksWhatIsNoRun(LineLog):
    def asked(self, query):
        facts = [fact for facts in self.streams.values() for fact in facts]
        return super().asked(query) or (not query.asks_of_run and facts)


@mutant
class CountsAllUnderOne(LineLog):
    def count(self, query, by):
        return {None: len(self.asked(query))}


# The index


@mutant
class WakesTheDead(LineLog):
    def wakes(self):
        parked = [row for row in self.sorted_rows() if row.parked]
        return sorted((row.wake_at, row.run_id) for row in parked if row.wake_at is not None)


@mutant
class IsDueTooLate(LineLog):
    def due(self, now):
        return super().due(now - 1)


@mutant
class ListsBeforeAndItself(LineLog):
    def list_runs(self, *, before=None, **wanted):
        return super().list_runs(before=before and before + "\0", **wanted)


@mutant
class LosesAColumn(LineLog):
    def apply_index(self, index):
        for fields in index:
            fields.pop("priority", None)
        super().apply_index(index)


@mutant
class RebuildsRowsOnly(LineLog):
    def rebuild(self, rows):
        keys = dict(self.keys)
        super().rebuild(rows)
        self.keys = keys | self.keys


@mutant
class RebuildsByHalves(LineLog):
    def rebuild(self, rows):
        rows_alone = [row for row in rows if isinstance(row, RunRow)]
        super().rebuild(rows_alone)
        super().rebuild(rows)


# Ownership


@mutant
class WritesWithAStaleEpoch(LineLog):
    def decide(self, group):
        self.lease = self.leases[STORE_SCOPE]
        return super().decide(group)


@mutant
class CountsEpochsAnew(LineLog):
    def release(self, lease):
        super().release(lease)
        if self.current(lease.scope) is None and lease.scope != STORE_SCOPE:
            self.leases.pop(lease.scope, None)


@mutant
class LetsAnybodyRelease(LineLog):
    def release(self, lease):
        super().release(self.leases[lease.scope])


@mutant
class LetsTwoIn(LineLog):
    """Without a lock on the file, both count on their own."""

    def __init__(self, path, owner="me"):
        super().__init__(path, owner)
        fcntl.flock(self.file, fcntl.LOCK_UN)


# Streams that begin with the append of another one


@mutant
class ForgetsWhatBegins(LineLog):
    def parts(self, written):
        return [each for each in super().parts(written) if "." not in each["stream"]]


@mutant
class BeginsInALineOfItsOwn(LineLog):
    """A crash between the two lines, or a reader, sees the end without the beginning."""

    faults = replace(FAULTS, strike=lambda log, _: at_the_second_write(log))

    def commit(self, change):
        if change["kind"] != "appends":
            super().commit(change)
            return
        for append in change["appends"]:
            super().commit({"kind": "appends", "appends": [append]})


@mutant
class BeginsWhatIsThere(LineLog):
    def refuse(self, append, tails, names):
        begins, append.begins = append.begins, None
        try:
            return super().refuse(append, tails, names)
        finally:
            append.begins = begins


@mutant
class TakesAnyRunOfAChain(LineLog):
    def last_of_chain(self, chain):
        return next((row for row in self.sorted_rows() if row.chain == chain), None)


@mutant
class CollectsWhatIsInUse(LineLog):
    def collect(self):
        for facts in self.streams.values():
            if len(facts) > 1:
                facts[0] = replace(facts[0], state=b"gone")
        return super().collect()


# Trouble


@mutant
class LetsTheEdgeWait(LineLog):
    def write_group(self, group, is_ending):
        edges = [each for each in group if each.edge]
        for each in edges:
            each.edge = False
        waiting = super().write_group(group, is_ending)
        for each in edges:
            each.edge = True
        return waiting


@mutant
class GivesUpOnAFullDisk(LineLog):
    def write_group(self, group, is_ending):
        return super().write_group(group, True)


@mutant
class KeepsLeasesInMemory(LineLog):
    def commit(self, change):
        if change["kind"] == "lease":
            self.apply(change)
        else:
            super().commit(change)


# Forgetting, and looking at everything


@mutant
class ForgetsTheFactsOnly(LineLog):
    def apply(self, change):
        rows = dict(self.rows)
        super().apply(change)
        if change["kind"] == "forget":
            self.rows = rows


@mutant
class ForgetsWhatHasGoneOn(LineLog):
    def ends(self, removal):
        return removal.stream in self.streams


@mutant
class TakesKeysOfOthersAlong(LineLog):
    def forget(self, removals):
        gone = super().forget(removals)
        for removal in removals:
            for scope in removal.keys if removal.stream in gone else ():
                self.keys.pop(scope, None)
        return gone


@mutant
class LeavesKeysOfTheForgotten(LineLog):
    def forget(self, removals):
        return super().forget([replace(each, keys=()) for each in removals])


@mutant
class UsesPositionsTwice(LineLog):
    """Counts from the last fact that is left."""

    def forget(self, removals):
        gone = super().forget(removals)
        left = [fact.position for facts in self.streams.values() for fact in facts]
        self.highest = max(left, default=0)
        return gone


@mutant
class ForgetsUntilItIsOpenedAgain(LineLog):
    def commit(self, change):
        if change["kind"] == "forget":
            self.apply(change)
        else:
            super().commit(change)


@mutant
class ForgetsWithAStaleEpoch(LineLog):
    def forget(self, removals):
        self.lease = self.leases[STORE_SCOPE]
        return super().forget(removals)


@mutant
class SaysThatAllAreGone(LineLog):
    def forget(self, removals):
        super().forget(removals)
        return [each.stream for each in removals]


@mutant
class EndsTooEarly(LineLog):
    def ended(self, before, **wanted):
        return super().ended(before + 1, **wanted)


@mutant
class ViewsWhatComesLater(LineLog):
    """The facts of the moment at which they are read, not of the one at which one looked."""

    @contextmanager
    def view(self):
        log = self

        class Late:
            def __getattr__(self, name):
                with LineLog.view(log) as view:
                    return getattr(view, name)

        yield Late()


@mutant
class ViewsRowsOnly(LineLog):
    def view(self):
        with super().view() as view:
            view._keys = {}
            return nullcontext(view)


@mutant
class ViewsNoOtherStreams(LineLog):
    def view(self):
        with super().view() as view:
            view._facts = [fact for fact in view._facts if not fact.stream.startswith("$")]
            return nullcontext(view)
