"""The death of a real process: it writes as fast as it can, and is killed in the middle."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO, cast

from agnt5.events.log import Append, Chain
from agnt5.exceptions import ConfigurationError
from agnt5.testing.stores.driving import make_append, make_row
from agnt5.testing.stores.port import OpenStore, Store, StoreConformanceError

_STREAMS = 20
_FACTS = 2
_VICTIM = f"import sys; from {__name__} import write_until_killed as w; w(*sys.argv[1:])"


def check_killed(opener: str, place: str, *, acknowledged: int = 200) -> None:
    """Kill a process that writes, and look whether all that it has acknowledged is there.

    Args:
        opener: Where the function is that opens stores, as ``module:name``. Both this process and
            the one that is killed import it.
        place: The place, a new one: for this check the function may take a path, or what it likes.
        acknowledged: After how many acknowledged appends the process is killed.

    Raises:
        ConfigurationError: There is no such function.
        StoreConformanceError: Something acknowledged is lost, or an append is there in part.
    """
    open_store = _find(opener)
    told = _kill_in_the_middle(opener, place, acknowledged)
    store = open_store(place)
    try:
        for stream, version in told.items():
            _check_stream(store, stream, version)
    finally:
        store.close()


def _find(opener: str) -> OpenStore:
    module, _, name = opener.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"{opener!r} names no function that opens stores ({error}). Write 'module:name', "
            f"with a module that can be imported in a new process of the same folder."
        ) from error
    return cast("OpenStore", found)


def _kill_in_the_middle(opener: str, place: str, acknowledged: int) -> dict[str, int]:
    """The last version that was acknowledged, for each stream."""
    command = [sys.executable, "-c", _VICTIM, opener, place]
    victim = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - our own module
    told: dict[str, int] = {}
    seen = 0
    with victim:
        for line in cast("IO[bytes]", victim.stdout):
            _note(told, line)
            seen += 1
            if seen == acknowledged:
                victim.kill()
    if seen < acknowledged:
        raise StoreConformanceError(
            "settled",
            f"A process that wrote to a store of {opener!r} ended by itself, with the exit status "
            f"{victim.returncode}, after {seen} acknowledged appends. Its stderr may tell why.",
        )
    return told


def _note(told: dict[str, int], line: bytes) -> None:
    if line.endswith(b"\n"):  # the last one may be cut off
        stream, version = line.split()
        told[stream.decode()] = int(version)


def _check_stream(store: Store, stream: str, version: int) -> None:
    versions = [fact.version for fact in store.read(stream)]
    row = store.run_row(stream)
    promised = None if row is None else row.started_at
    if len(versions) < version or versions != list(range(1, len(versions) + 1)):
        raise StoreConformanceError(
            "durable",
            f"The process was killed after it was told that {stream!r} had {version} facts. "
            f"Its versions are {versions}.",
        )
    if len(versions) % _FACTS or promised != len(versions):
        raise StoreConformanceError(
            "atomic",
            f"The process was killed; then {stream!r} had {len(versions)} facts, which come in "
            f"groups of {_FACTS}, and its row tells of {promised}.",
        )


class _Writer:
    """Appends to every stream again as soon as the append before is settled."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chains = {f"r{number}": Chain() for number in range(_STREAMS)}

    def start(self) -> None:
        """Begin."""
        self._store.start(self._settled)
        for stream in self._chains:
            self._grow(stream, 0)

    def _settled(self, batch: Sequence[Append]) -> None:
        for append in batch:
            if append.error is not None:
                raise append.error
            version = append.after + _FACTS
            sys.stdout.write(f"{append.stream} {version}\n")
            sys.stdout.flush()
            self._grow(append.stream, version)

    def _grow(self, stream: str, after: int) -> None:
        row = make_row(stream, started_at=after + _FACTS)
        append = make_append(stream, after, _FACTS, row, chain=self._chains[stream])
        self._store.append([append])


def write_until_killed(opener: str, place: str) -> None:
    """What the process does that is killed: it never returns."""
    _Writer(_find(opener)(place)).start()
    threading.Event().wait()
