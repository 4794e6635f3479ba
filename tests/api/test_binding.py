"""What of a delivery goes into which parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agnt5.binding import bind
from agnt5.context import Context
from agnt5.signatures import Signature
from agnt5.triggers import Delivery

OLD: Any = Optional[dict]  # noqa: UP045 - users write it
STRIPE = {
    "id": "evt_1",
    "type": "payment_intent.succeeded",
    "data": {"object": {"amount": 5, "currency": "eur", "id": "pi_1"}, "previous": None},
}


def delivered(payload: object, text: str | None = None) -> Delivery:
    envelope = {"event_type": "e", "source": "s", "payload": payload}
    return Delivery(payload, envelope if text is None else envelope | {"body": text}, text)


def bound(function: Any, payload: object, text: str | None = None) -> dict[str, object]:
    return bind(Signature(function, Context), delivered(payload, text))


def test_fields_of_the_payload_become_arguments():
    async def welcome(ctx, user_id: str, plan: str = "free"): ...

    assert bound(welcome, {"user_id": "u", "x": 1}) == {"user_id": "u"}
    assert bound(welcome, {"plan": "pro"}) == {"plan": "pro"}
    assert bound(welcome, "text") == {}


def test_fields_are_found_where_stripe_puts_them_the_outer_ones_first():
    async def pay(ctx, amount: int, currency: str, id: str, previous: Any, source: str): ...

    assert bound(pay, STRIPE) == {
        "amount": 5,
        "currency": "eur",
        "id": "evt_1",
        "previous": None,
        "source": "s",
    }


@pytest.mark.parametrize("name", ["event", "webhook_data", "payload"])
@pytest.mark.parametrize(
    "hint",
    [dict, dict[str, Any], Mapping[str, Any], dict | None, OLD, "dict"],
    ids=repr,
)
def test_a_dict_of_these_names_gets_the_envelope(name, hint):
    handler = with_parameter(name)
    handler.__annotations__[name] = hint
    given = {name: 1, "user_id": "u"}
    assert bound(handler, given) == {"user_id": "u", name: delivered(given).envelope}


def with_parameter(name: str) -> Any:
    scope: dict[str, Any] = {"dict": dict}
    exec(f"async def handler(ctx, user_id: str, {name}): ...", scope)
    return scope["handler"]


def test_a_lone_dict_gets_the_envelope():
    async def lone(ctx, anything: dict): ...

    async def two(ctx, anything: dict, other: dict): ...

    assert bound(lone, {"anything": 1}) == {"anything": delivered({"anything": 1}).envelope}
    assert bound(two, {"anything": 1}) == {"anything": 1}


def test_without_a_dict_these_are_names_like_others_and_then_the_envelope():
    async def typed(ctx, event: str, text: str): ...

    async def untyped(ctx, event, webhook_data, payload): ...

    assert bound(typed, {"event": "ping", "text": "hi"}) == {"event": "ping", "text": "hi"}
    envelope = delivered({"event": 1}).envelope
    assert bound(untyped, {"event": 1}) == {
        "event": 1,
        "webhook_data": envelope,
        "payload": {"event": 1},
    }


def test_the_body_is_parsed_unless_text_is_asked_for():
    async def parsed(ctx, source: str, body: dict): ...

    async def text(ctx, body: str): ...

    assert bound(parsed, {"a": 1}, '{"a": 1}') == {"source": "s", "body": {"a": 1}}
    assert bound(text, {"a": 1}, '{"a": 1}') == {"body": '{"a": 1}'}
    assert bound(text, {"body": "own"}, '{"body": "own"}') == {"body": "own"}


def test_keywords_take_the_rest_of_the_payload():
    async def handler(ctx, a: int, **fields): ...

    assert bound(handler, {"a": 1, "b": 2, "data": {"a": 3}}) == {"a": 1, "b": 2, "data": {"a": 3}}


names = st.sampled_from(["a", "b", "c", "id", "data", "object"])
json = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(payload=json)
def test_each_argument_is_the_first_found(payload):
    async def handler(ctx, a, b=None, *, c=None, id=None): ...

    places = [payload] if isinstance(payload, dict) else []
    for inner in ("data", "object"):
        if places and isinstance(places[-1].get(inner), dict):
            places.append(places[-1][inner])
        else:
            break
    expected = {}
    for name in ("a", "b", "c", "id"):
        for place in reversed(places):
            if name in place:
                expected[name] = place[name]
    assert bound(handler, payload) == expected
