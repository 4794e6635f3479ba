"""agnt5: durable workflows as event-sourced actors, embedded in your process.

The public names are in :mod:`agnt5._public`; they are imported when the first of them is asked for.
"""

from typing import TYPE_CHECKING

from agnt5 import _other_sdk as _other_sdk  # first: it refuses a mixed installation
from agnt5._lazy import make_lazy

if TYPE_CHECKING:
    from agnt5._public import *  # noqa: F403 - so the list of names stands in one place
else:
    make_lazy(__name__)
