"""The indentation of documents whose formatting has lost all of it.

Where a block ends cannot be told from lines without indentation, so it is written down here: the
first and the last line of each snippet, and the level of each line at which a block ends. A line
that follows the head of a block is one level deeper, any other stays where the line before it is.
"""

from __future__ import annotations

Layout = list[tuple[int, int, dict[int, int]]]

LAYOUTS: dict[str, Layout] = {
    "001": [
        (6, 11, {}),
        (18, 31, {23: 0, 27: 0}),
        (38, 45, {}),
        (47, 55, {}),
        (57, 71, {61: 0}),
        (72, 72, {}),
        (74, 79, {}),
        (81, 88, {}),
        (95, 100, {}),
        (102, 106, {}),
        (108, 122, {121: 1}),
        (124, 147, {129: 0, 133: 0, 137: 0, 143: 1}),
    ],
    "002": [
        (16, 43, {21: 0, 25: 0, 29: 0}),
        (46, 63, {}),
        (66, 84, {78: 2, 84: 1}),
        (87, 99, {93: 1, 95: 1, 97: 1}),
        (102, 116, {}),
        (120, 127, {}),
        (130, 138, {}),
        (141, 173, {147: 1, 163: 1, 166: 1, 171: 1}),
        (176, 200, {}),
        (204, 217, {}),
        (220, 233, {}),
        (236, 258, {247: 1, 249: 1, 251: 1, 256: 2, 258: 1}),
        (261, 291, {}),
        (294, 323, {301: 1}),
        (326, 359, {331: 0, 335: 0, 339: 0}),
        (363, 384, {372: 2, 376: 3, 380: 2, 384: 1}),
        (387, 409, {396: 2, 398: 1, 401: 1, 403: 1}),
        (412, 440, {427: 1, 433: 4, 435: 4, 437: 3, 440: 2}),
        (444, 464, {}),
        (467, 498, {474: 1, 477: 1, 486: 1, 494: 1}),
        (501, 527, {510: 1, 513: 1, 515: 1, 517: 1, 519: 1}),
        (531, 552, {543: 2, 546: 2, 551: 2, 552: 1}),
        (555, 568, {}),
    ],
}
