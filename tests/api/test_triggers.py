"""Events and webhooks: each starts every workflow that wants it, once per delivery."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.api.helpers import written
from tests.api.test_webhook_signatures import NOW, sign

from agnt5 import (
    AsyncClient,
    ConfigurationError,
    InvalidInputError,
    PayloadError,
    PayloadTooLargeError,
    Runtime,
    WebhookVerificationError,
    workflow,
)
from agnt5.actors.clock import ManualClock
from agnt5.events.codec import decode_any
from agnt5.types import TriggerSpec, event, webhook

SECRETS = {name: f"secret-of-{name}" for name in ("stripe", "github", "slack", "sentry", "acme")}


def opened(store: Any, **options: Any) -> Runtime:
    options = {"webhook_secrets": SECRETS, "clock": ManualClock(NOW * 10**6)} | options
    return Runtime(store, **options)


def wants(name: str, *triggers: TriggerSpec, **options: Any) -> Any:
    @workflow(name=name, triggers=list(triggers), **options)
    async def handler(ctx, event: dict) -> Any:
        return event

    return handler


async def outputs(client: AsyncClient, runs: Any) -> dict[str, Any]:
    return {r.component: (await client.wait_for_result(r.run_id, 15)).output for r in runs}


async def deliver(client: AsyncClient, source: str, payload: Any, secret: str = "", **headers: str):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    scheme = source if source in {"stripe", "github", "slack", "sentry"} else "standard"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    signed = sign(scheme, secret or SECRETS[source], body)
    return await client.deliver_webhook(source, headers | signed, body)


# Declarations.


def test_what_the_helpers_make():
    assert event(" a.b ", trigger_id="t") == TriggerSpec("event", "a.b", "t")
    assert webhook(" Stripe ", event=" x.y ") == TriggerSpec("event", "stripe.x.y")


@pytest.mark.parametrize("name", ["", "  ", None, 5, "a\nb", "x" * 201])
def test_names_that_cannot_be(name):
    for make in (lambda: event(name), lambda: webhook(name, event="e"),
                 lambda: webhook("s", event=name)):  # fmt: skip
        with pytest.raises(ValueError, match="must be|at most"):
            make()


OPTIONS = {
    "filter_expression": "a > 1", "input_mapping": "{}", "batch_window_ms": 5,
    "delay_expression": "1h",
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("listed", [False, True])
def test_options_that_mean_nothing_here_are_refused(option, listed):
    given: dict[str, Any] = {option: [OPTIONS[option]] if listed else OPTIONS[option]}
    for make in (
        lambda: event("a", **given),
        lambda: webhook("s", event="e", **given),
        lambda: workflow(triggers=[TriggerSpec("event", "a", **given)]),
    ):
        with pytest.raises(ValueError, match=f"{option} is not supported"):
            make()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no list": ({"triggers": "a"}, "list of event"),
    "no trigger": ({"triggers": ["a"]}, "made by event"),
    "other type": ({"triggers": [TriggerSpec("cron")]}, "made by event"),
    "blank": ({"triggers": [TriggerSpec("event", " ")]}, "not blank"),
    "id": ({"triggers": [TriggerSpec("event", "a", 5)]}, "trigger_id"),  # type: ignore[arg-type]
    "webhook": ({"webhook": "stripe"}, "True or False"),
    "secret": ({"webhook_secret": " "}, "not blank"),
    "no secret": ({"webhook_secret": []}, "list of texts"),
    "cron": ({"cron": "every day"}, "five fields"),
    "zone alone": ({"cron_timezone": "UTC"}, "give that as well"),
}


@pytest.mark.parametrize("case", BAD)
def test_declarations_that_cannot_be(case):
    options, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        workflow(**options)


# Events.


async def test_an_event_starts_every_workflow_that_wants_it(store):
    wants("one", event("a"), event("b", trigger_id="of-b"))
    wants("two", event("b"))
    wants("three", event("c"))
    async with opened(store) as runtime:
        client = AsyncClient(runtime=runtime)
        runs = await client.emit_event("b", {"n": 1})
        got = await outputs(client, runs)
        assert got["one"] == got["two"]
        assert got["one"] == {
            "event_type": "b", "idempotency_key": None, "payload": {"n": 1},
            "timestamp": "2023-11-14T22:13:20+00:00",
        }  # fmt: skip
        queued = decode_any(runtime._log.read(runs[0].run_id)[0])
        assert queued.origin == {"type": "event", "name": "b", "trigger_id": "of-b"}
        assert await client.emit_event("nobody", {"n": 1}) == []
        # Without an id each one counts.
        assert len({r.run_id for r in [*runs, *await client.emit_event("b")]}) == 4


async def test_the_same_delivery_starts_nothing_new_even_after_a_failure(store):
    begun = []

    @workflow(triggers=[event("a")])
    async def fails(ctx) -> None:
        begun.append(1)
        raise ValueError("no")

    wants("works", event("a"))
    seen = []
    for _ in range(2):
        async with opened(store) as runtime:
            client = AsyncClient(runtime=runtime)
            for _ in range(2):
                runs = await client.emit_event("a", {}, dedupe_id="d-1")
                await outputs(client, runs)
                seen.append([r.run_id for r in runs])
            other = await client.emit_event("a", {}, dedupe_id="d-2")
            await outputs(client, other)
    assert len(begun) == 2  # of d-1 and of d-2
    assert all(ids == seen[0] for ids in seen)


async def test_a_key_of_a_user_is_no_delivery(store):
    wants("w", event("a"))
    async with opened(store) as runtime:
        client = AsyncClient(runtime=runtime)
        (run,) = await client.emit_event("a", {}, dedupe_id="d")
        for key in ("d", "event a d", "event:a:d"):
            mine = await client.submit("w", {"event": {}}, "workflow", idempotency_key=key)
            assert mine.run_id != run.run_id
        with pytest.raises(InvalidInputError, match="printable"):
            await client.submit("w", {"event": {}}, "workflow", idempotency_key="\tevent\ta\td")


async def test_a_workflow_that_cannot_take_it_fails_and_the_others_run(store):
    @workflow(triggers=[event("a")])
    async def wrong(ctx, count: int, user: str) -> None: ...

    wants("right", event("a"))
    async with opened(store) as runtime:
        client = AsyncClient(runtime=runtime)
        started = await client.emit_event("a", {"count": "many"}, "d")
        runs = {r.component: r.run_id for r in started}
        failed = await client.wait_for_result(runs["wrong"], 15)
        assert failed.error.code == "INVALID_ARGUMENT"
        assert "event 'a' cannot start it" in failed.error.message
        assert "'user' is missing" in failed.error.message
        assert "not 'many'" in failed.error.message
        assert (await client.wait_for_result(runs["right"], 15)).is_success
        assert len(runtime._log.read(runs["wrong"])) == 2
    async with opened(store) as runtime:
        again = await AsyncClient(runtime=runtime).emit_event("a", {"count": "many"}, "d")
        assert {r.component: r.run_id for r in again} == runs


async def test_values_come_as_annotated(store):
    @workflow(triggers=[webhook("stripe", event="paid")])
    async def pay(ctx, amount: int, currency: str) -> list:
        return [amount, currency]

    async with opened(store) as runtime:
        client = AsyncClient(runtime=runtime)
        payload = {"id": "e", "type": "paid", "data": {"object": {"amount": 5, "currency": "eur"}}}
        got = await deliver(client, "stripe", payload)
        assert await outputs(client, got.runs) == {"pay": [5, "eur"]}


EVENTS_REFUSED = {
    "no name": (("", {}), InvalidInputError),
    "name of no text": ((5, {}), InvalidInputError),
    "long name": (("x" * 201,), InvalidInputError),
    "blank id": (("a", {}, " "), InvalidInputError),
    "id of no text": (("a", {}, 5), InvalidInputError),
    "long id": (("a", {}, "x" * 257), InvalidInputError),
    "unprintable id": (("a", {}, "x\ty"), InvalidInputError),
    "payload": (("a", {"f": object()}), PayloadError),
    "large payload": (("a", {"text": "x" * 3000}), PayloadTooLargeError),
}


@pytest.mark.parametrize("case", EVENTS_REFUSED)
async def test_events_that_cannot_be_write_nothing(file_store, case):
    arguments, error = EVENTS_REFUSED[case]

    @workflow(triggers=[event("a")])
    async def takes(ctx) -> None: ...

    async with opened(file_store, max_payload_bytes=2000) as runtime:
        client = AsyncClient(runtime=runtime)
        with pytest.raises(error):
            await client.emit_event(*arguments)
        assert await written(runtime) == 0


# Webhooks.

NOTICES: dict[str, tuple[str, Any, dict[str, str], list[str], str | None]] = {
    "stripe": ("stripe", {"id": "evt_1", "type": "a.b"}, {}, ["stripe.a.b"], "evt_1"),
    "github": (
        "github", {"action": "opened"},
        {"X_GitHub_Event": "pull_request", "X_GitHub_Delivery": "g"},
        ["github.pull_request", "github.pull_request.opened"], "g",
    ),
    "github push": ("github", {}, {"X_GitHub_Event": "push"}, ["github.push"], None),
    "slack": (
        "slack", {"type": "event_callback", "event_id": "Ev1", "event": {"type": "message"}}, {},
        ["slack.message"], "Ev1",
    ),
    "sentry": (
        "sentry", {"action": "created"}, {"Sentry_Hook_Resource": "issue", "Request_ID": "r"},
        ["sentry.issue", "sentry.issue.created"], "r",
    ),
    "standard by header": ("acme", {"type": "b"}, {"webhook_event": "a"}, ["acme.a"], "msg_1"),
    "standard by body": ("acme", {"type": "a"}, {}, ["acme.a"], "msg_1"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTICES)
async def test_what_each_source_says(file_store, case):
    source, payload, headers, names, delivery = NOTICES[case]
    for number, name in enumerate(names):
        wants(f"w{number}", event(name))
    wants("other", event(f"{source}.other"))
    async with opened(file_store) as runtime:
        client = AsyncClient(runtime=runtime)
        got = await deliver(client, source, payload, **headers)
        assert got.delivery_id == delivery
        assert got.status_code == 202
        given = await outputs(client, got.runs)
        assert sorted(given) == [f"w{n}" for n in range(len(names))]
        envelope = given["w0"]
        assert envelope["_webhook"] is True
        assert (envelope["source"], envelope["payload"]) == (source, payload)
        assert envelope["event_type"] == got.event_type
        assert envelope["idempotency_key"] == delivery
        assert json.loads(envelope["body"]) == payload
        assert all(name == name.lower() for name in envelope["headers"])
        again = await deliver(client, source, payload, **headers)
        same = [r.run_id for r in again.runs] == [r.run_id for r in got.runs]
        assert same is (delivery is not None)


async def test_credentials_are_not_recorded(store):
    wants("w", event("acme.a"))
    async with opened(store) as runtime:
        client = AsyncClient(runtime=runtime)
        headers = {"Authorization": "Basic x", "Cookie": "c=1", "webhook_event": "a"}
        got = await deliver(client, "acme", {}, **headers)
        assert not {"authorization", "cookie"} & set(
            (await outputs(client, got.runs))["w"]["headers"]
        )


async def test_slack_is_told_its_challenge_if_it_is_slack(store):
    wants("w", event("slack.url_verification"))
    async with opened(store) as runtime:
        client = AsyncClient(runtime=runtime)
        ask = {"type": "url_verification", "challenge": "c-1"}
        got = await deliver(client, "slack", ask)
        assert (got.status_code, got.challenge, got.runs) == (200, "c-1", [])
        with pytest.raises(WebhookVerificationError):
            await deliver(client, "slack", ask, "wrong")
        assert await written(runtime) == 0


async def test_a_workflow_with_its_own_secret_takes_no_other(store):
    wants("own", event("acme.a"), webhook_secret=["own-1", "own-2"])
    wants("common", event("acme.a"))
    async with opened(store) as runtime:
        client = AsyncClient(runtime=runtime)

        async def started(secret: str) -> list[str | None]:
            got = await deliver(client, "acme", {"type": "a"}, secret)
            return [r.component for r in got.runs]

        assert await started("own-1") == await started("own-2") == ["own"]
        assert await started(SECRETS["acme"]) == ["common"]
        with pytest.raises(WebhookVerificationError, match="does not fit"):
            await started("neither")


async def test_a_workflow_is_addressed_by_its_name(store):
    @workflow(webhook=True, webhook_secret="own")
    async def hook(ctx, webhook_data):
        return webhook_data["payload"]

    wants("not_a_hook", event("x"))
    async with opened(store) as runtime:
        client = AsyncClient(runtime=runtime)
        body = b'{"n": 1}'
        for scheme in ("standard", "github", "sentry"):
            got = await client.deliver_webhook("hook", sign(scheme, "own", body), body)
            assert await outputs(client, got.runs) == {"hook": {"n": 1}}
        for name, secret in (("hook", SECRETS["acme"]), ("not_a_hook", "own"), ("nobody", "own")):
            with pytest.raises(WebhookVerificationError):
                await client.deliver_webhook(name, sign("standard", secret, body), body)


async def test_secrets_of_the_environment(store, monkeypatch):
    wants("w", event("my-shop.a"))
    monkeypatch.setenv("AGNT5_WEBHOOK_SECRET_MY_SHOP", "new  old")
    async with opened(store) as runtime:
        client = AsyncClient(runtime=runtime)
        for secret in ("new", "old"):
            assert (await deliver(client, "my-shop", {"type": "a"}, secret)).runs
        with pytest.raises(WebhookVerificationError):
            await deliver(client, "my-shop", {"type": "a"}, "new  old")


HOOKS_REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "unsigned": (("stripe", {}, b"{}"), WebhookVerificationError, "is missing"),
    "old": (("stripe", sign("stripe", SECRETS["stripe"], b"{}", NOW - 301), b"{}"),
            WebhookVerificationError, "too old"),
    "unknown source": (("nobody", sign("standard", "k", b"{}"), b"{}"),
                       WebhookVerificationError, "AGNT5_WEBHOOK_SECRET_NOBODY"),
    "no json": (("stripe", sign("stripe", SECRETS["stripe"], b"{"), b"{"),
                InvalidInputError, "not JSON"),
    "no utf-8": (("sentry", sign("sentry", SECRETS["sentry"], b'"\xff"'), b'"\xff"'),
                 InvalidInputError, "not JSON"),
    "large": (("stripe", {}, b"x" * 2001), PayloadTooLargeError, "2001 bytes"),
    "blank source": ((" ", {}, b""), InvalidInputError, "source"),
    "source of no text": ((None, {}, b""), InvalidInputError, "source"),
    "body of no bytes": (("stripe", {}, {}), InvalidInputError, "bytes as they came"),
    "headers of no mapping": (("stripe", [("a", "b")], b""), InvalidInputError, "mapping"),
    "header of no text": (("stripe", {"a": b"b"}, b""), InvalidInputError, "texts"),
    "header with a break": (("stripe", {"a": "b\r\nc"}, b""), InvalidInputError, "characters"),
    "header that is none": (("stripe", {"a": "\ud800"}, b""), InvalidInputError, "characters"),
    "many headers": (("stripe", {f"h{n}": "" for n in range(129)}, b""), InvalidInputError, "128"),
    "large headers": (("stripe", {"h": "x" * 33_000}, b""), InvalidInputError, "take"),
    "long id": (("stripe", {}, json.dumps({"type": "a", "id": "x" * 257}).encode()),
                InvalidInputError, "an id that cannot be one"),
    "long event": (("stripe", {}, json.dumps({"type": "x" * 201}).encode()),
                   InvalidInputError, "an event that cannot be one"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOOKS_REFUSED)
async def test_webhooks_that_cannot_be_write_nothing(file_store, case):
    (source, headers, body), error, message = HOOKS_REFUSED[case]
    if case in {"long id", "long event"}:
        headers = sign("stripe", SECRETS["stripe"], body)
    wants("w", event("stripe.a"))
    async with opened(file_store, max_webhook_bytes=2000) as runtime:
        client = AsyncClient(runtime=runtime)
        with pytest.raises(error, match=message) as caught:
            await client.deliver_webhook(source, headers, body)
        assert await written(runtime) == 0
        assert "secret-of" not in str(caught.value)
        if error is WebhookVerificationError:
            assert (caught.value.code, caught.value.status_code) == ("UNAUTHENTICATED", 401)


@pytest.mark.parametrize(
    "settings",
    [
        {"webhook_secrets": ["stripe"]}, {"webhook_secrets": {"stripe": ""}},
        {"webhook_secrets": {"": "x"}}, {"webhook_secrets": {"stripe": [5]}},
        {"webhook_secrets": {"standard": "whsec_***"}}, {"max_webhook_bytes": 0},
        {"max_webhook_bytes": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be(settings):
    with pytest.raises(ConfigurationError):
        Runtime("memory://", **settings)
