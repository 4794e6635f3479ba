"""A keyring wraps and unwraps, names what is missing, and never shows what it holds."""

from __future__ import annotations

import base64
import copy
import pickle
import traceback

import pytest

from agnt5 import ConfigurationError, EncryptionKeyError, HashChain, Keyring, SigningKey
from agnt5.signing import is_signed, verifies

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
DATA = b"d" * 32


def test_the_first_key_wraps_and_every_key_unwraps():
    old, both = Keyring({"old": OLD}), Keyring({"new": NEW, "old": OLD})
    master, wrapped = old.wrap(DATA, "d1")
    assert (master, both.newest) == ("old", "new")
    assert both.unwrap(master, wrapped, "d1") == DATA
    assert both.wrap(DATA, "d1")[0] == "new"
    assert Keyring({"new": NEW, "old": OLD}, newest="old").newest == "old"


def test_nothing_is_wrapped_twice_alike():
    ring = Keyring({"k": OLD})
    assert len({ring.wrap(DATA, "d1")[1] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("ring", "master", "name"),
    [
        (Keyring({"old": NEW}), "old", "d1"),  # another key under the same id
        (Keyring({"new": NEW}), "old", "d1"),  # it is missing
        (Keyring({"old": OLD}), "old", "d2"),  # the wrapped key of another name
    ],
)
def test_what_cannot_be_unwrapped_is_refused_with_the_id_and_without_a_secret(ring, master, name):
    _, wrapped = Keyring({"old": OLD}).wrap(DATA, "d1")
    with pytest.raises(EncryptionKeyError, match="master key 'old'") as caught:
        ring.unwrap(master, wrapped, name)
    assert caught.value.key_id == "old"
    text = "".join(traceback.format_exception(caught.value))
    for secret in (OLD, NEW, DATA):
        assert base64.b64encode(secret).decode() not in text
        assert repr(secret)[2:20] not in text


def test_it_does_not_show_what_it_holds():
    text = base64.b64encode(OLD).decode()
    ring = Keyring({"2026-11": text})
    assert repr(ring) == "Keyring(newest='2026-11', keys=['2026-11'])"
    with pytest.raises(TypeError, match="secrets"):
        pickle.dumps(ring)
    with pytest.raises(TypeError, match="secrets"):
        copy.copy(ring)
    key = SigningKey(OLD)
    assert text not in repr(key)
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(key)


@pytest.mark.parametrize(
    "keys",
    [{}, {"a b": OLD}, {"a": b"short"}, {"a": "not base64!"}, {"": OLD}, {"a:b": OLD}, 7, "k"],
)
def test_what_is_no_keyring_is_refused(keys):
    with pytest.raises(ConfigurationError) as caught:
        Keyring(keys)
    assert "short" not in str(caught.value)


def test_keys_come_from_the_environment_the_newest_first(monkeypatch):
    new, old = Keyring.new_key(), Keyring.new_key()
    monkeypatch.setenv("AGNT5_ENCRYPTION_KEYS", f"2026:{new}, 2025:{old}")
    ring = Keyring.from_environment()
    assert repr(ring) == "Keyring(newest='2026', keys=['2025', '2026'])"
    for wrong in ("", "2026", f"2026:{new},2026:{old}", f"{new}"):
        monkeypatch.setenv("AGNT5_ENCRYPTION_KEYS", wrong)
        with pytest.raises(ConfigurationError) as caught:
            Keyring.from_environment()
        assert new not in str(caught.value)


def test_keys_come_from_a_function():
    asked = []

    def load(key_id):
        asked.append(key_id)
        return {"old": OLD, "new": NEW}[key_id]

    ring = Keyring(load, newest="new")
    assert ring.wrap(DATA, "d1")[0] == "new"
    assert ring.unwrap(*Keyring({"old": OLD}).wrap(DATA, "d1"), "d1") == DATA
    ring.wrap(DATA, "d2")
    assert asked == ["new", "old"]
    with pytest.raises(EncryptionKeyError, match="'gone'.*KeyError"):
        ring.unwrap("gone", b"", "d1")
    with pytest.raises(ConfigurationError, match="newest"):
        Keyring(load)


class Service:
    newest = "arn.1"
    is_away = False

    def wrap(self, data_key, context):
        return b"wrapped:" + context + data_key

    def unwrap(self, key_id, wrapped, context):
        if self.is_away:
            raise ConnectionError("secret words of a service")
        assert wrapped.startswith(b"wrapped:" + context)
        return wrapped[-32:]


def test_a_service_keeps_the_master_keys_itself():
    service = Service()
    ring = Keyring(service)
    master, wrapped = ring.wrap(DATA, "d1")
    assert (master, ring.unwrap(master, wrapped, "d1")) == ("arn.1", DATA)
    assert repr(ring) == "Keyring(Service)"
    service.is_away = True
    with pytest.raises(EncryptionKeyError, match="ConnectionError") as caught:
        ring.unwrap(master, wrapped, "d1")
    assert "secret words" not in str(caught.value)


def test_a_signature_is_of_one_key_and_one_message():
    key, other = SigningKey(OLD), SigningKey(NEW)
    signature = key.sign(b"a head")
    assert verifies(key.public, b"a head", signature)
    assert not verifies(key.public, b"another", signature)
    assert not verifies(other.public, b"a head", signature)
    assert not is_signed("no key", b"a head", signature)
    with pytest.raises(ConfigurationError, match="public key"):
        verifies("no key", b"a head", signature)


def test_a_chain_that_cannot_be_is_refused(monkeypatch):
    for every in (0, -1, True, 1.5):
        with pytest.raises(ConfigurationError, match="every"):
            HashChain(every=every)
    with pytest.raises(ConfigurationError, match="SigningKey"):
        HashChain("a secret")
    monkeypatch.delenv("AGNT5_SIGNING_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="AGNT5_SIGNING_KEY"):
        SigningKey.from_environment()
    monkeypatch.setenv("AGNT5_SIGNING_KEY", base64.b64encode(OLD).decode())
    assert SigningKey.from_environment().public == SigningKey(OLD).public
