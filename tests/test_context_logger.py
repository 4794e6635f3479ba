"""What a record of ``ctx.logger`` says, whatever its message and its fields are made of."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.context_logger import ContextLogger


class Kept(logging.Handler):
    """Keeps records, as they are shown."""

    def __init__(self) -> None:
        super().__init__()
        self.records, self.texts = [], []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.texts.append(record.getMessage())


@pytest.fixture
def kept():
    """What was logged."""
    logger, found = logging.getLogger("agnt5.kept"), Kept()
    logger.addHandler(found)
    logger.setLevel("INFO")
    yield found
    logger.removeHandler(found)
    logger.setLevel("NOTSET")


def ours(**fields: object) -> ContextLogger:
    return ContextLogger(logging.getLogger("agnt5.kept"), fields)


TEXTS = st.text(max_size=8) | st.sampled_from(["50%", "%s", "%%", "%(x)s", "100 %d"])


@given(TEXTS, TEXTS, TEXTS)
def test_a_message_is_shown_with_its_fields_as_they_are(message, value, argument):
    logger, found = logging.getLogger("agnt5.any"), Kept()
    logger.addHandler(found)
    logger.setLevel("INFO")
    context = ContextLogger(logger, {"run_id": "r"})
    context.info(message, field=value)
    context.info("%s and " + message.replace("%", "%%"), argument, field=value)
    logger.removeHandler(found)
    assert found.texts == [
        f"{message} [field={value!r}]",
        f"{argument} and {message} [field={value!r}]",
    ]
    assert [record.agnt5 for record in found.records] == [{"run_id": "r", "field": value}] * 2


def test_a_record_says_where_it_was_logged(kept):
    def inner() -> None:
        ours().info("here", share="5%")
        ours().info("above", stacklevel=2)

    inner()
    try:
        raise KeyError("k")
    except KeyError:
        ours().exception("failed %d times", 2, share="5%")
    names = [record.funcName for record in kept.records]
    assert names == ["inner", *["test_a_record_says_where_it_was_logged"] * 2]
    assert kept.texts[-1] == "failed 2 times [share='5%']"
    assert kept.records[-1].exc_info[0] is KeyError


def test_what_is_no_text_is_logged_as_it_is(kept):
    ours().info({"a": 1}, b=2)
    assert kept.records[0].msg == {"a": 1}
    assert kept.records[0].agnt5 == {"b": 2}


def test_nothing_is_logged_on_replay(kept):
    silent = ContextLogger(logging.getLogger("agnt5.kept"), {}, lambda: True)
    silent.error("again")
    assert not silent.isEnabledFor(logging.CRITICAL)
    assert kept.records == []
