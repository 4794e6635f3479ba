"""How senders of webhooks sign what they send, and how that is checked. Pure: the time is given.

Each scheme is an HMAC-SHA256 of some arrangement of the body. The package ``standardwebhooks``
computes one of the five, but reads the machine's clock instead of the runtime's and fails on a
malformed header in other ways than by refusing it; so all five are here, on the standard library,
and the tests hold ours against it. No other scheme has a package that does only this.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agnt5.exceptions import ConfigurationError, WebhookVerificationError

WINDOW_S = 300
"""How far the time of a signature may be from now, before or after."""

_PREFIX = "whsec_"

Headers = Mapping[str, str]
"""By lower-case name."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request says of its signature."""

    content: bytes
    """What was signed."""
    signatures: Sequence[bytes]
    """Those of the known version; one of them must be right."""
    timestamp: str | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one kind of sender signs."""

    name: str
    header: str
    """Where the signature is."""
    read: Callable[[Headers, bytes], Signed]
    keys: Callable[[str], Sequence[bytes]]
    """What a secret may mean."""


def verify(
    scheme: Scheme, headers: Headers, body: bytes, secrets: Sequence[str], now_s: int
) -> None:
    """Accept a request that was signed with one of these secrets, not long ago.

    Raises:
        WebhookVerificationError: When it was not. Says why, but never what would be right.
        ConfigurationError: When a secret cannot be one of this scheme.
    """
    if scheme.header not in headers:
        raise _refused(scheme, f"the header {scheme.header!r} is missing")
    signed = scheme.read(headers, body)
    if not signed.signatures:
        raise _refused(scheme, f"the header {scheme.header!r} has no signature that can be read")
    if signed.timestamp is not None:
        _check_time(scheme, signed.timestamp, now_s)
    good = False
    for secret in secrets:
        for key in scheme.keys(secret):
            expected = hmac.new(key, signed.content, hashlib.sha256).digest()
            for given in signed.signatures:
                # No early end: the time taken says nothing.
                good |= hmac.compare_digest(expected, given)
    if not good:
        raise _refused(scheme, "the signature does not fit the body: wrong secret, or altered")


def scheme_of(source: str) -> Scheme:
    """How a source signs: in its own way if it is known, else as Standard Webhooks say."""
    return SCHEMES.get(source, SCHEMES["standard"])


def scheme_in(headers: Headers) -> Scheme:
    """The scheme whose signature is there."""
    found = (scheme for scheme in SCHEMES.values() if scheme.header in headers)
    return next(found, SCHEMES["standard"])


def _check_time(scheme: Scheme, timestamp: str, now_s: int) -> None:
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > _DIGITS:
        raise _refused(scheme, "its time is no number of seconds")
    away = now_s - int(timestamp)
    if abs(away) > WINDOW_S:
        side = "old" if away > 0 else "far in the future"
        raise _refused(scheme, f"it is too {side}: {abs(away)} s, {WINDOW_S} s are allowed")


_DIGITS = 15


def _refused(scheme: Scheme, reason: str) -> WebhookVerificationError:
    return WebhookVerificationError(f"the webhook was refused ({scheme.name} signature): {reason}")


def _hex(texts: Iterator[str]) -> list[bytes]:
    found: list[bytes] = []
    for text in texts:
        try:
            found.append(bytes.fromhex(text))
        except ValueError:
            continue
    return found


def _base64(texts: Iterator[str]) -> list[bytes]:
    found: list[bytes] = []
    for text in texts:
        try:
            found.append(base64.b64decode(text, validate=True))
        except (ValueError, binascii.Error):
            continue
    return found


def _versions(header: str, separator: str, version: str) -> Iterator[str]:
    for part in header.split(separator):
        name, _, value = part.strip().partition("=" if separator == "," else ",")
        if name.strip() == version:
            yield value.strip()


def _standard(headers: Headers, body: bytes) -> Signed:
    scheme = SCHEMES["standard"]
    for name in ("webhook-id", "webhook-timestamp"):
        if not headers.get(name):
            raise _refused(scheme, f"the header {name!r} is missing")
    at = headers["webhook-timestamp"]
    content = f"{headers['webhook-id']}.{at}.".encode() + body
    return Signed(content, _base64(_versions(headers[scheme.header], " ", "v1")), at)


def _stripe(headers: Headers, body: bytes) -> Signed:
    scheme = SCHEMES["stripe"]
    header = headers[scheme.header]
    times = list(_versions(header, ",", "t"))
    if len(times) != 1:
        raise _refused(scheme, f"the header {scheme.header!r} must have one time, 't=...'")
    return Signed(times[0].encode() + b"." + body, _hex(_versions(header, ",", "v1")), times[0])


def _github(headers: Headers, body: bytes) -> Signed:
    return Signed(body, _hex(_versions(headers[SCHEMES["github"].header], ",", "sha256")))


def _slack(headers: Headers, body: bytes) -> Signed:
    scheme = SCHEMES["slack"]
    at = headers.get("x-slack-request-timestamp")
    if not at:
        raise _refused(scheme, "the header 'x-slack-request-timestamp' is missing")
    content = f"v0:{at}:".encode() + body
    return Signed(content, _hex(_versions(headers[scheme.header], ",", "v0")), at)


def _sentry(headers: Headers, body: bytes) -> Signed:
    return Signed(body, _hex(iter([headers[SCHEMES["sentry"].header].strip()])))


def _text_key(secret: str) -> Sequence[bytes]:
    return (secret.encode(),)


def _standard_keys(secret: str) -> Sequence[bytes]:
    """``whsec_`` and base64; without the prefix it may be base64 or the key itself."""
    encoded = secret.removeprefix(_PREFIX)
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (ValueError, binascii.Error):
        decoded = b""
    if secret.startswith(_PREFIX):
        if not decoded:
            msg = "a webhook secret that begins with 'whsec_' must go on with base64"
            raise ConfigurationError(msg)
        return (decoded,)
    return (secret.encode(), decoded) if decoded else (secret.encode(),)


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("standard", "webhook-signature", _standard, _standard_keys),
        Scheme("stripe", "stripe-signature", _stripe, _text_key),
        Scheme("github", "x-hub-signature-256", _github, _text_key),
        Scheme("slack", "x-slack-signature", _slack, _text_key),
        Scheme("sentry", "sentry-hook-signature", _sentry, _text_key),
    )
}
