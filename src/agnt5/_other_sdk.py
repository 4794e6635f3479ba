"""Refuse to run in a folder that another distribution has also written into.

The distribution ``agnt5`` has a package of the same name; installed into one environment, each
overwrites files of the other, and whatever is left works by accident.
"""

from __future__ import annotations

from pathlib import Path

_THEIRS = ("_retry_utils.py", "_schema_utils.py", "_telemetry.py", "_core.abi3.so")


def refuse_mixture(folder: Path) -> None:
    """Look for files that only the other distribution has.

    Raises:
        ImportError: When there are some.
    """
    found = [name for name in _THEIRS if (folder / name).exists()]
    if found:
        msg = (
            f"{folder} holds files of the distribution 'agnt5' ({', '.join(found)}) beside those of"
            " 'agnt5-actors'. The two cannot live in one environment. Uninstall both, then install"
            " the one that you want: pip uninstall agnt5 agnt5-actors; pip install agnt5-actors"
        )
        raise ImportError(msg)


refuse_mixture(Path(__file__).parent)
