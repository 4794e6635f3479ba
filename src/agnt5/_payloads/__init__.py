"""The workshop of :mod:`agnt5.payloads`: one module per sort of value."""

from __future__ import annotations

from agnt5._payloads import objects, stdlib

# Named, because importing them is what fills the tables of codecs.
__all__ = ["objects", "stdlib"]
