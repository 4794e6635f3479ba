"""``python -m agnt5 rebuild-index [STORE]``: the one thing that needs no program of yours."""

from __future__ import annotations

import argparse
import sys

from agnt5.exceptions import AGNT5Error
from agnt5.runtime import rebuild_index, store_url


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status is 0 when it worked."""
    parser = argparse.ArgumentParser(prog="python -m agnt5")
    commands = parser.add_subparsers(dest="command", required=True)
    rebuild = commands.add_parser(
        "rebuild-index", help="drop the index tables of a store and build them from its log"
    )
    rebuild.add_argument("store", nargs="?", help="default: AGNT5_STORE, else .agnt5/agnt5.db")
    given = parser.parse_args(arguments)
    try:
        runs = rebuild_index(given.store)
    except AGNT5Error as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 1
    sys.stdout.write(f"{store_url(given.store)}: the index of {runs} runs was built again\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
