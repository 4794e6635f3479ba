"""The command ``agnt5``, also ``python -m agnt5``.

It needs the extra ``cli``; only ``rebuild-index`` works without, because a damaged index must not
wait for an installation. Nothing heavy may be imported here: each start pays for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from agnt5.cli.exits import Exit

__all__ = ["main"]

_MISSING = "agnt5: this command needs the extra 'cli': pip install 'agnt5-actors[cli]'\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: What stands behind ``agnt5`` on the command line; that of the process by default.

    Returns:
        The exit code: 0 fine, 1 findings or failure, 2 wrong usage, 3 trouble with the store, 4 a
        bug of agnt5, 130 interrupted.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if all(find_spec(name) for name in ("click", "rich")):
        from agnt5.cli.application import run  # noqa: PLC0415 - it needs the extra

        return run(given)
    if given[:1] == ["rebuild-index"]:
        from agnt5.cli.plain import run_plainly  # noqa: PLC0415 - argparse is slow to import

        return run_plainly(given)
    sys.stderr.write(_MISSING)
    return Exit.USAGE
