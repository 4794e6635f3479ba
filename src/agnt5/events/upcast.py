"""Old shapes of facts brought to the present one, one function per step.

``UPCASTERS[(topic, version)]`` takes the JSON object of that version to the next one. A field that
was only added, with a default, needs no entry.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import JsonValue

Shape = dict[str, JsonValue]

UPCASTERS: dict[tuple[str, int], Callable[[Shape], Shape]] = {}


def upcast(topic: str, version: int, target: int, shape: Shape) -> Shape:
    """The same fact in the shape of the target version.

    Raises:
        LookupError: When a step of the chain is missing.
    """
    while version < target:
        step = UPCASTERS.get((topic, version))
        if step is None:
            msg = f"no upcaster takes {topic} from version {version} to {version + 1}"
            raise LookupError(msg)
        shape = step(shape)
        version += 1
    return shape
