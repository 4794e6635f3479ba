"""Commands in any order, for the properties of the decider. Few keys, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.events.run.spec import NOW, RUN

from agnt5.events.run import commands as c
from agnt5.events.run import facts as f
from agnt5.events.run.decider import decide
from agnt5.events.run.state import RunState, evolve
from agnt5.exceptions import AGNT5Error

KEYS = (*(f":a#{n}" for n in range(6)), ":plan#0", ":plan#0>:c#0")
NAMES = ("go", "stop")
QUEUE = c.QueueRun("order", "workflow", {"n": 1}, idempotency_key="k")
START = c.StartRun("d1")

keys = st.sampled_from(KEYS)
names = st.sampled_from(NAMES)
attempts = st.sampled_from([0, 0, 1, 2])
delays = st.integers(0, 3_000_000)
values = st.sampled_from([None, 1, "x", {"y": [1]}])
errors = st.sampled_from([{"type": "builtins:OSError", "message": "down"}])
digests = st.sampled_from(["d1", "d2"])
plans = st.none() | st.builds(
    f.RetryPlan,
    max_attempts=st.sampled_from([3, 2, 1]),
    initial_ms=st.sampled_from([0, 1000]),
    max_ms=st.just(2000),
    backoff=st.sampled_from(["constant", "linear", "exponential"]),
)
options = st.sampled_from([None, [], [{"id": "yes", "label": "Yes"}, {"id": "no"}]])

steps = st.builds(
    c.RequestStep,
    keys,
    names,
    st.sampled_from([None, "fn"]),
    values,
    plans,
    st.sampled_from(["retry", "fail", "ask", "verify"]),
    st.none() | delays,
)
requests = (
    steps
    | st.builds(c.RequestTimer, keys, delays)
    | st.builds(c.RequestSignal, keys, names, timeout_us=st.none() | delays)
    | st.builds(
        c.RequestInput,
        keys,
        st.just("well?"),
        st.sampled_from(["text", "select", "multiselect"]),
        options,
        st.booleans(),
        st.booleans(),
        assignees=st.sampled_from([None, None, ["ada"]]),
        timeout_us=st.none() | delays,
        on_timeout=st.sampled_from([None, "yes"]),
        shown=st.sampled_from([None, "d1"]),
    )
)
reports = (
    st.builds(c.ReportSuccess, keys, attempts, values, st.integers(0, 9))
    | st.builds(c.ReportFailure, keys, attempts, errors, st.booleans())
    | st.builds(c.WakeOperation, keys)
    | st.builds(c.ReportAbsent, keys, attempts)
    | st.just(c.WakeRun())
    | st.builds(c.AbandonOperation, keys)
)
outside = st.builds(c.SendSignal, st.sampled_from(["1", "2", "3"]), names, values) | st.builds(
    c.SubmitAnswer,
    st.sampled_from([None, "yes", "yes, no", "maybe", "retry", "fail", "done"]),
    st.none() | keys,
    actor=st.sampled_from([None, "ada", "eve"]),
    shown=st.sampled_from([None, "d1", "d2"]),
    is_custom=st.booleans(),
)
updates = st.builds(c.SendUpdate, st.sampled_from(["1", "2", "3"]), names, values) | st.builds(
    c.AnswerUpdate, st.sampled_from(["1", "2", "3"]), values, st.none() | errors
)
cancels = st.builds(c.RequestCancel, st.sampled_from([None, "enough"]))
life = (
    st.just(QUEUE)
    | st.builds(c.StartRun, digests)
    | st.just(c.Recover())
    | st.just(c.ParkRun())
    | st.builds(c.ResumeRun, digests)
)
suspends = st.builds(
    c.SuspendRun, st.just("why"), st.sampled_from(["one", "two"]), digests
) | st.builds(c.PauseRun)
ends = st.builds(c.CompleteRun, values) | st.builds(c.FailRun, errors) | st.just(c.CancelRun())
busy = requests | reports | requests | reports | outside | updates | life | suspends
"""Without what ends a run: longer histories."""
notes = st.builds(
    c.AddNote,
    st.builds(
        f.StateChanged,
        key=st.sampled_from([":state:n#0", "/1:state:n#0", ":plan#0>:state:n#0"]),
        name=names,
        value=values,
        deleted=st.booleans(),
    )
    | st.builds(f.MarkerRecorded, key=names, value=values),
)
children = st.builds(
    c.RequestChild,
    keys,
    st.sampled_from(["c1", "c2"]),
    st.just("pay"),
    st.just("workflow"),
    values,
    st.sampled_from(["cancel", "abandon"]),
) | st.builds(c.ReportChild, keys, st.sampled_from(["completed", "failed", "cancelled"]), values)
whole = busy | notes | children


@st.composite
def histories(draw, middle=busy) -> list[tuple[f.RunFact, int]]:
    """What the decider makes of any commands in any order."""
    state, now = RunState(RUN), NOW
    facts: list[tuple[f.RunFact, int]] = []
    commands = draw(st.lists(middle, max_size=30))
    sequence = [QUEUE, START, *commands, *draw(st.lists(cancels | ends, max_size=2))]
    for command in sequence:
        now += draw(delays)
        try:
            decided = decide(state, command, now)
        except AGNT5Error:
            continue
        for fact in decided:
            evolve(state, fact, now)
            facts.append((fact, now))
    return facts
