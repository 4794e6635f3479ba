"""``rebuild-index`` with the standard library alone, for who has no extra ``cli``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from agnt5.cli.exits import Exit
from agnt5.cli.rebuilding import rebuilt, sentence
from agnt5.exceptions import AGNT5Error, StoreError


def run_plainly(arguments: Sequence[str]) -> int:
    """Run the command; it takes and prints the same as with the extra.

    Returns:
        An exit code.
    """
    parser = argparse.ArgumentParser(prog="agnt5 rebuild-index")
    default = "default: AGNT5_STORE, else .agnt5/agnt5.db"
    store = parser.add_mutually_exclusive_group()
    store.add_argument("address", nargs="?", metavar="STORE", help=default)
    store.add_argument("--store", metavar="URL", help="the same")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args(arguments[1:])
    try:
        done = rebuilt(given.store if given.address is None else given.address)
    except AGNT5Error as error:
        sys.stderr.write(f"agnt5: {error.code}: {error}\n")
        return Exit.STORE if isinstance(error, StoreError) else Exit.USAGE
    sys.stdout.write((json.dumps(done, indent=2) if given.json else sentence(done)) + "\n")
    return Exit.OK
