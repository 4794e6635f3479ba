"""Readers beside a writer: threads that read while groups are written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from agnt5.events.log import Chain
from agnt5.testing.stores.contract.opening import Opening
from agnt5.testing.stores.driving import Driver, make_append, make_row
from agnt5.testing.stores.port import Store

_STREAMS = ("a", "b", "c")
_FACTS = 3
_GROUPS = 60
_READERS = 3


class ReaderContract(Opening):
    """What a reader on another thread sees of appends under way."""

    def test_readers_see_whole_appends_and_never_go_back(self, d: Driver[Store]) -> None:
        """A row never says more than the facts that are read behind it: both came as one."""
        stop = threading.Event()
        wrong: list[str] = []
        readers = [
            threading.Thread(target=_read, args=(d.log, stop, wrong, number))
            for number in range(_READERS)
        ]
        for reader in readers:
            reader.start()
        chains = {stream: Chain() for stream in _STREAMS}
        appended = 0
        for number in range(_GROUPS):
            group = [
                make_append(
                    stream,
                    number * _FACTS,
                    _FACTS,
                    replace(make_row(stream), started_at=(number + 1) * _FACTS),
                    chain=chains[stream],
                    urgent=number % 2 == 0,
                )
                for stream in _STREAMS
            ]
            d.log.append(group)
            appended += len(group)
        settled = d.sunk.wait(appended)
        stop.set()
        for reader in readers:
            reader.join()
        assert [append.error for append in settled] == [None] * appended
        assert wrong == []
        for stream in _STREAMS:
            assert d.versions(stream) == list(range(1, _GROUPS * _FACTS + 1))


def _read(log: Store, stop: threading.Event, wrong: list[str], number: int) -> None:
    seen: dict[str, int] = dict.fromkeys(_STREAMS, 0)
    while not stop.is_set() and not wrong:
        try:
            wrong.extend(_look(log, seen, _STREAMS[number % len(_STREAMS)]))
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            wrong.append(f"a reader met {type(error).__name__}: {error}")


def _look(log: Store, seen: dict[str, int], stream: str) -> Sequence[str]:
    row = log.run_row(stream)
    promised = 0 if row is None else row.started_at or 0
    versions = [fact.version for fact in log.read(stream)]
    last = log.last(stream)
    found: list[str] = []
    if len(versions) < promised:
        found.append(f"the row of {stream!r} tells of {promised} facts, read were {versions}")
    if last is not None and last.version < len(versions):
        found.append(f"last({stream!r}) is {last.version}, behind {versions}")
    for name, facts in log.read_many(_STREAMS).items():
        versions = [fact.version for fact in facts]
        if versions != list(range(1, len(versions) + 1)) or len(versions) % _FACTS:
            found.append(f"of {name!r} there was a part of an append: {versions}")
        if len(versions) < seen[name]:
            found.append(f"of {name!r} there were {seen[name]} facts, then {versions}")
        seen[name] = len(versions)
    return found
