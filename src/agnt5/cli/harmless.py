"""Texts that no terminal obeys. Payloads come from outside, and so do names and messages.

Control characters are replaced by escapes, with the one that begins a terminal's commands; so is
what changes the direction of writing, because a text then reads as another one; and the halves of
characters, which cannot be printed.
"""

from __future__ import annotations

import re
from typing import Final

_MORE: Final = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_OBEYED: Final = re.compile(f"[\x00-\x1f{_MORE}]")
_OBEYED_IN_LINES: Final = re.compile(f"[\x00-\x09\x0b-\x1f{_MORE}]")


def harmless(text: str, *, lines: bool = False) -> str:
    r"""A text with escapes in place of what a terminal obeys; with ``lines``, it may have several.

    >>> harmless("\x1b[31mred")
    '\\x1b[31mred'
    """
    return (_OBEYED_IN_LINES if lines else _OBEYED).sub(_escape, text)


def harmless_json(text: str) -> str:
    r"""The same JSON, of one line or several, with the escapes of JSON.

    >>> harmless_json('"\x9b31m"')
    '"\\u009b31m"'
    """
    # What is left of them stands in strings; line feeds stand between lines.
    return _OBEYED_IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "backslashreplace").decode()
