"""When a cron expression is due: the calendar is the library's, the rest is ours."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.cron import CronSpec, parse_cron

MINUTE = 60_000_000
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
EXPRESSIONS = [
    "* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "0,30 1,2,3 * * *", "15 */2 * * *",
    "0 0 * * *", "59 23 L * *", "0 9 * * MON-FRI", "5 4 1,15 * *", "0 12 * * 0#2",
]  # fmt: skip
moments = st.integers(1_600_000_000_000_000, 1_900_000_000_000_000)


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**6


def local(times: list[int]) -> list[str]:
    return [datetime.fromtimestamp(t // 10**6, BERLIN).strftime("%d %H:%M %z") for t in times]


def first(expression: str, zone: str, after: int, count: int) -> list[int]:
    return list(itertools.islice(parse_cron(expression, zone).times(after), count))


def test_weekdays_at_half_past_nine_in_berlin():
    friday = at("2024-03-29T12:00", "Europe/Berlin")
    found = first("30 9 * * MON-FRI", "Europe/Berlin", friday, 2)
    # Over the weekend the clocks went forward.
    assert local(found) == ["01 09:30 +0200", "02 09:30 +0200"]


def test_a_time_that_spring_skips_is_due_at_the_end_of_the_gap_and_once():
    after = at("2024-03-31T00:00", "Europe/Berlin")
    assert local(first("30 2 * * *", "Europe/Berlin", after, 2)) == [
        "31 03:00 +0200", "01 02:30 +0200",
    ]  # fmt: skip
    several = local(first("0,30 2,3 * * *", "Europe/Berlin", after, 3))
    assert several == ["31 03:00 +0200", "31 03:30 +0200", "01 02:00 +0200"]


def test_a_time_that_autumn_repeats_is_due_the_first_time():
    after = at("2024-10-27T00:00", "Europe/Berlin")
    found = first("30 2 * * *", "Europe/Berlin", after, 2)
    assert local(found) == ["27 02:30 +0200", "28 02:30 +0100"]
    # Asked again within the hour that comes twice, there is no second one.
    between = found[0] + 45 * MINUTE
    assert parse_cron("30 2 * * *", "Europe/Berlin").next_after(between) == found[1]


def test_a_star_follows_the_real_hours():
    after = at("2024-10-27T01:30", "Europe/Berlin")
    assert local(first("0 * * * *", "Europe/Berlin", after, 4)) == [
        "27 02:00 +0200", "27 02:00 +0100", "27 03:00 +0100", "27 04:00 +0100",
    ]  # fmt: skip


@given(st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES), moments)
def test_times_come_in_order_wherever_one_begins(expression, zone, after):
    times = first(expression, zone, after, 8)
    assert times == sorted(set(times))
    assert times[0] > after
    assert all(t % MINUTE == 0 for t in times)
    spec = parse_cron(expression, zone)
    for earlier, later in itertools.pairwise(times):
        # From any moment between two of them the next one is the later.
        for moment in (earlier, earlier + 1, (earlier + later) // 2, later - 1):
            assert spec.next_after(moment) == later


@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(ZONES),
    moments,
    st.integers(0, 3 * 24 * 60),
    st.integers(1, 20),
)
def test_the_latest_are_the_last_of_all(expression, zone, after, minutes, limit):
    spec, upto = parse_cron(expression, zone), after + minutes * MINUTE
    everything = list(itertools.takewhile(lambda t: t <= upto, spec.times(after)))
    assert spec.latest(after, upto, limit) == everything[-limit:]


def test_a_long_downtime_costs_no_more_than_its_answer(monkeypatch):
    seen = []
    times = CronSpec.times

    def counted(self, after):
        for t in times(self, after):
            seen.append(t)
            yield t

    monkeypatch.setattr(CronSpec, "times", counted)
    assert len(parse_cron("* * * * *").latest(0, at("2026-01-01T00:00"), 100)) == 100
    assert len(seen) < 1000


def test_the_29th_of_february_is_waited_for():
    assert parse_cron("0 0 29 2 *").next_after(at("2025-01-01T00:00")) == at("2028-02-29T00:00")


BAD = {
    "no text": ((5,), "five fields"),
    "empty": (("",), "five fields"),
    "a word": (("@daily",), "five fields"),
    "seconds": (("0 * * * * *",), "five fields"),
    "out of range": (("61 * * * *",), "minute"),
    "no day": (("0 0 30 2 *",), "day-of-month"),
    "never": (("* * */20 * 1L",), "never due"),
    "nonsense": (("a b c d e",), "cannot be read"),
    "no zone": (("* * * * *", "Mars/Base"), "no time zone 'Mars/Base'"),
    "a path": (("* * * * *", "../../etc/passwd"), "no time zone"),
    "a folder": (("* * * * *", "Europe"), "no time zone"),
    "zone of no text": (("* * * * *", 5), "IANA name"),
    "empty zone": (("* * * * *", ""), "IANA name"),
    "policy": (("* * * * *", None, "never"), "'skip', 'once', 'all'"),
    "policy of no text": (("* * * * *", None, None), "'skip', 'once', 'all'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_refused(case):
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        parse_cron(*arguments)


def test_blanks_do_not_count():
    assert parse_cron("  */5 *  * * * ") == CronSpec("*/5 * * * *", "UTC", "skip")
    assert datetime.fromtimestamp(parse_cron("0 0 1 1 *").next_after(0) / 1e6, UTC).year == 1971
