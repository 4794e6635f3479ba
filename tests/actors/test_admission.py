"""Lines of runs against a model that sorts."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agnt5.actors.admission import Admission, Place
from agnt5.actors.clock import ManualClock
from agnt5.flow import Queue

LIMITS = {"one": 1, "two": 2, "free": None, None: None}
ROOM = 4


class Lines(RuleBasedStateMachine):
    """Runs come, begin, park, come back, end and are cancelled; sometimes the process restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.active: dict[str, Place] = {}
        self.waiting: dict[str, Place] = {}
        self.made = 0
        self.open()

    def open(self) -> None:
        queues = [Queue(name, most) for name, most in LIMITS.items() if name]
        self.admission = Admission(self.clock, queues, lambda: len(self.active) < ROOM, self.begin)

    def begin(self, run_id: str) -> None:
        """The admission says that it may: it must be the first of those that may."""
        place = self.waiting[run_id]
        able = [p for p in self.waiting.values() if self.has_place(p.queue)]
        assert place in able, "over the limit of its queue"
        assert place == min(able, key=order), "somebody was before it"
        assert len(self.active) < ROOM
        del self.waiting[run_id]
        self.active[run_id] = place

    def has_place(self, queue: str | None) -> bool:
        most = LIMITS[queue]
        return most is None or sum(p.queue == queue for p in self.active.values()) < most

    @rule(queue=st.sampled_from(list(LIMITS)), priority=st.integers(-1, 2), gap=st.integers(0, 1))
    def come(self, queue, priority, gap):
        self.clock.advance(gap)
        self.made += 1
        place = Place(f"r{self.made:04}", queue, priority, self.clock.now())
        room = len(self.active) < ROOM
        if room and self.admission.admit(place.run_id, queue, begun=False):
            assert self.has_place(queue)
            self.active[place.run_id] = place
        else:
            assert not room or not self.has_place(queue), "it was kept waiting for nothing"
            self.waiting[place.run_id] = place
            self.admission.line_up(place)

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def leave(self, data):
        """It ends, or parks."""
        run_id = data.draw(st.sampled_from(sorted(self.active)))
        del self.active[run_id]
        self.admission.forget(run_id)
        self.admission.leave(run_id)

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def come_back(self, data):
        """It was parked, others took its place, and it comes back at once."""
        run_id = data.draw(st.sampled_from(sorted(self.active)))
        old = self.active.pop(run_id)
        self.admission.leave(run_id)
        place = Place(run_id, old.queue, old.priority, self.clock.now(), begun=True)
        if len(self.active) < ROOM and self.admission.admit(run_id, old.queue, begun=True):
            assert self.has_place(old.queue)
            self.active[run_id] = place
        else:
            self.waiting[run_id] = place
            self.admission.line_up(place)
            self.admission.drain()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data):
        run_id = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[run_id]
        self.admission.forget(run_id)

    @rule()
    def restart(self):
        """What was active had begun; the rest is in line as before."""
        places = [*self.active.values(), *self.waiting.values()]
        active, self.active, self.waiting = set(self.active), {}, {}
        self.admission.close()
        self.open()
        for place in sorted(places, key=lambda p: p.run_id):
            begun = place.begun or place.run_id in active
            one = Place(place.run_id, place.queue, place.priority, place.accepted_at, begun)
            self.waiting[one.run_id] = one
            self.admission.line_up(one)
        self.admission.drain()
        assert all(run_id in self.active for run_id in active if _fits(self.active, active))

    @invariant()
    def each_knows_its_place_in_its_line(self):
        for queue in LIMITS:
            line = sorted((p for p in self.waiting.values() if p.queue == queue), key=order)
            for number, place in enumerate(line, start=1):
                assert self.admission.place_of(place.run_id) == (number, len(line))
        for run_id in self.active:
            assert self.admission.place_of(run_id) is None

    @invariant()
    def limits_hold_and_nobody_waits_for_nothing(self):
        for queue, most in LIMITS.items():
            assert most is None or sum(p.queue == queue for p in self.active.values()) <= most
        for run_id, place in self.waiting.items():
            assert self.admission.waits(run_id)
            assert len(self.active) >= ROOM or not self.has_place(place.queue)


def _fits(now, before) -> bool:
    return set(now) <= before and len(before) <= ROOM


def order(place: Place):
    return (not place.begun, -place.priority, place.accepted_at, place.run_id)


TestLines = Lines.TestCase
TestLines.settings = settings(max_examples=60, stateful_step_count=40)


def test_a_rate_limited_queue_begins_by_the_clock():
    """And a run that comes back needs no turn."""
    clock, begun = ManualClock(), []
    admission = Admission(clock, [Queue("q", rate_limit="2/s")], lambda: True, begun.append)
    assert [admission.admit(f"r{n}", "q", begun=False) for n in range(3)] == [True, True, False]
    for n in (2, 3, 4):
        admission.line_up(Place(f"r{n}", "q", 0, n))
    admission.drain()
    admission.line_up(Place("back", "q", 0, 9, begun=True))
    admission.drain()
    assert begun == ["back"]
    clock.advance(1)
    assert begun == ["back", "r2", "r3"]
    clock.advance(0.9)
    assert begun == ["back", "r2", "r3"]
    clock.advance(0.1)
    assert begun == ["back", "r2", "r3", "r4"]
    assert clock.next_due() is None
