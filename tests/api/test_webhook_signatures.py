"""Signatures of webhooks: what was signed as its sender signs is accepted, all else is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from agnt5.exceptions import ConfigurationError, WebhookVerificationError
from agnt5.webhook_signatures import SCHEMES, WINDOW_S, scheme_in, scheme_of, verify

NOW = 1_700_000_000
TIMED = ("standard", "stripe", "slack")
printable = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=40)
bodies = st.binary(max_size=200)


def mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()


def sign(scheme: str, secret: str, body: bytes, at: int = NOW) -> dict[str, str]:
    """The headers as the documentation of each sender describes them."""
    key, stamp = secret.encode(), str(at).encode()
    if scheme == "standard":
        if secret.startswith("whsec_"):
            key = base64.b64decode(secret.removeprefix("whsec_"))
        signature = base64.b64encode(mac(key, b"msg_1." + stamp + b"." + body)).decode()
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(at),
            "webhook-signature": f"v1,{signature}",
        }
    if scheme == "stripe":
        return {"stripe-signature": f"t={at},v1={mac(key, stamp + b'.' + body).hex()}"}
    if scheme == "slack":
        signature = mac(key, b"v0:" + stamp + b":" + body).hex()
        return {"x-slack-request-timestamp": str(at), "x-slack-signature": f"v0={signature}"}
    if scheme == "github":
        return {"x-hub-signature-256": f"sha256={mac(key, body).hex()}"}
    return {"sentry-hook-signature": mac(key, body).hex()}


def check(scheme, headers, body, *secrets, now=NOW):
    verify(SCHEMES[scheme], headers, body, secrets, now)


def refuses(*arguments, match="refused", **options):
    with pytest.raises(WebhookVerificationError, match=match):
        check(*arguments, **options)


every = pytest.mark.parametrize("scheme", SCHEMES)


@every
@given(secret=printable, body=bodies)
def test_what_is_signed_is_accepted(scheme, secret, body):
    check(scheme, sign(scheme, secret, body), body, secret)


@every
@given(data=st.data(), secret=printable, body=st.binary(min_size=1, max_size=200))
def test_an_altered_body_is_refused(scheme, data, secret, body):
    at = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(st.integers(1, 255))
    altered = body[:at] + bytes([body[at] ^ other]) + body[at + 1 :]
    refuses(scheme, sign(scheme, secret, body), altered, secret)


@every
@given(secret=printable, other=printable, body=bodies)
def test_another_secret_is_refused(scheme, secret, other, body):
    if secret != other:
        refuses(scheme, sign(scheme, secret, body), body, other, match="does not fit")


@every
@given(secret=printable, new=printable, body=bodies)
def test_either_secret_is_good_while_they_rotate(scheme, secret, new, body):
    check(scheme, sign(scheme, secret, body), body, new, secret)
    check(scheme, sign(scheme, new, body), body, new, secret)


@every
@given(
    data=st.data(),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "webhook-id",
                "webhook-timestamp",
                "webhook-signature",
                "stripe-signature",
                "x-hub-signature-256",
                "x-slack-signature",
                "x-slack-request-timestamp",
                "sentry-hook-signature",
            ]
        ),
        st.text(max_size=60),
    ),
    body=bodies,
)
def test_any_nonsense_is_refused_and_nothing_else_happens(scheme, data, headers, body):
    good = sign(scheme, "k", body)
    taken = data.draw(st.sets(st.sampled_from(sorted(good))))
    headers = {**headers, **{name: good[name] for name in taken if taken != set(good)}}
    refuses(scheme, headers, body, "k")


@every
def test_without_secrets_or_without_a_signature_nothing_is_accepted(scheme):
    refuses(scheme, sign(scheme, "k", b"x"), b"x")
    refuses(scheme, {}, b"x", "k", match="is missing")
    refuses(scheme, {SCHEMES[scheme].header: ""}, b"x", "k")


@pytest.mark.parametrize("scheme", TIMED)
@given(away=st.integers(-2 * WINDOW_S, 2 * WINDOW_S))
def test_the_window_is_five_minutes_both_ways(scheme, away):
    headers = sign(scheme, "k", b"{}", NOW + away)
    if abs(away) <= 300:
        check(scheme, headers, b"{}", "k")
    else:
        refuses(scheme, headers, b"{}", "k", match="too old|too far in the future")


@pytest.mark.parametrize("scheme", TIMED)
@pytest.mark.parametrize("stamp", ["", "now", "-1", "1e9", "1.5", "\u0661", "9" * 400])
def test_a_time_that_is_none_is_refused(scheme, stamp):
    headers = {k: v.replace(str(NOW), stamp) for k, v in sign(scheme, "k", b"{}").items()}
    refuses(scheme, headers, b"{}", "k")


@pytest.mark.parametrize("scheme", ["github", "sentry"])
def test_these_have_no_time(scheme):
    check(scheme, sign(scheme, "k", b"{}"), b"{}", "k", now=NOW * 2)


def test_one_good_signature_among_several_is_enough():
    body = b"{}"
    good = sign("standard", "k", body)
    old = sign("standard", "old", body)["webhook-signature"]
    several = f"v1a,xyz {old} v2,AAAA {good['webhook-signature']} v1, nonsense"
    check("standard", good | {"webhook-signature": several}, body, "k")
    refuses("standard", good | {"webhook-signature": f"v1a,x {old}"}, body, "k")
    stripe = sign("stripe", "k", body)["stripe-signature"]
    other = sign("stripe", "old", body)["stripe-signature"].partition(",")[2]
    check("stripe", {"stripe-signature": f"{stripe},{other},v0=00"}, body, "k")
    # A signature of another version is none, even if it is right.
    refuses("stripe", {"stripe-signature": stripe.replace("v1=", "v0=")}, body, "k")
    refuses("stripe", {"stripe-signature": f"t={NOW},{stripe}"}, body, "k", match="one time")


@given(key=st.binary(min_size=1, max_size=40), body=st.text(max_size=100), prefix=st.booleans())
def test_standard_webhooks_agree_with_their_own_library(key, body, prefix):
    secret = "whsec_" * prefix + base64.b64encode(key).decode()
    signed = Webhook(secret).sign("msg_1", datetime.fromtimestamp(NOW, UTC), body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": signed}
    check("standard", headers, body.encode(), secret)


def test_known_answers():
    """From the documentation of Standard Webhooks and of GitHub."""
    check(
        "github",
        {
            "x-hub-signature-256": "sha256="
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        },
        b"Hello, World!",
        "It's a Secret to Everybody",
    )
    check(
        "standard",
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        b'{"test": 2432232314}',
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        now=1614265330,
    )


def test_a_secret_that_cannot_be_one_is_the_fault_of_the_settings():
    with pytest.raises(ConfigurationError, match="base64"):
        check("standard", sign("standard", "k", b""), b"", "whsec_***")


def test_which_scheme():
    assert scheme_of("stripe").name == "stripe"
    assert scheme_of("acme").name == "standard"
    assert {name: scheme_in(sign(name, "k", b"")).name for name in SCHEMES} == {
        name: name for name in SCHEMES
    }
    assert scheme_in({}).name == "standard"
