"""A bounded queue: the edge is refused when it is full, the inside never."""

from __future__ import annotations

import pytest

from agnt5.actors.mailbox import Envelope, Mailbox
from agnt5.exceptions import OverloadedError


def test_letters_come_in_order():
    box = Mailbox(10)
    for n in range(3):
        box.put(Envelope(n))
    assert len(box) == 3
    assert [letter.command for letter in box.take_all()] == [0, 1, 2]
    assert len(box) == 0
    assert box.take_all() == []


def test_the_edge_is_refused_when_it_is_full():
    box = Mailbox(2)
    box.put_from_edge(Envelope(1), "run r1")
    box.put_from_edge(Envelope(2), "run r1")
    with pytest.raises(OverloadedError, match="run r1 has 2 commands waiting"):
        box.put_from_edge(Envelope(3), "run r1")
    assert [letter.command for letter in box.take_all()] == [1, 2]
    box.put_from_edge(Envelope(3), "run r1")


def test_the_inside_is_never_refused():
    box = Mailbox(1)
    for n in range(5):
        box.put(Envelope(n))
    assert len(box) == 5
    with pytest.raises(OverloadedError):
        box.put_from_edge(Envelope(5), "run r1")
