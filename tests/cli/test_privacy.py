"""The commands about keys and evidence, and export with a word."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from tests.cli.shell import agnt5

from agnt5 import AsyncClient, HashChain, Keyring, Runtime, SigningKey, function

OLD, NEW = ("old:" + Keyring.new_key(), "new:" + Keyring.new_key())
SECRET = SigningKey.new_secret()


@function
async def greet(name: str) -> str:
    return f"hello {name}"


async def fill(folder):
    name, key = OLD.split(":")
    keyring, chain = Keyring({name: key}), HashChain(SigningKey(SECRET))
    async with Runtime(f"sqlite:///{folder}/s.db", encryption=keyring, chain=chain):
        client = AsyncClient()
        await client.run("greet", {"name": "Anna Karenina"}, user_id="anna", run_id="a1")
        await client.run("greet", {"name": "Boris"}, user_id="boris", run_id="b1")
        return await client.sign_head()


@pytest.fixture
def folder(tmp_path):
    """A folder with an encrypted store, with signed heads, of which somebody noted the last one."""
    number, digest = asyncio.run(fill(tmp_path))
    (tmp_path / "head").write_text(f"{number}:{digest}")
    return tmp_path


def says(folder, *arguments, keys=OLD, status=0):
    done = agnt5(*arguments, "--store", "s.db", cwd=folder, AGNT5_ENCRYPTION_KEYS=keys)
    assert done.returncode == status, done.stderr
    return done


def test_keys_are_rotated_and_the_old_one_is_needed_no_more(folder):
    refused = says(folder, "runs", "--json", keys=NEW)
    assert "a1" in refused.stdout  # what is in clear needs no key
    refused = says(folder, "show", "a1", keys=NEW, status=3)
    assert "'old'" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "sealed: run a1" in says(folder, "verify", "--chain", keys=NEW).stdout
    assert says(folder, "rotate-keys", "--json", keys=f"{NEW},{OLD}").stdout.split() == [
        "{",
        '"keys":',
        "3",
        "}",
    ]
    assert "Anna Karenina" in says(folder, "show", "a1", keys=NEW).stdout
    for keys in (NEW, ""):  # the chain is over what lies there
        told = says(folder, "verify", "--chain", keys=keys).stdout
        assert "\nwhole: " in f"\n{told}"
        assert "\nsound: 2 runs" in told
        assert ("sealed: run a1" in told) is (not keys)
    assert "AGNT5_ENCRYPTION_KEYS" in says(folder, "verify", keys="", status=3).stderr


def test_a_data_key_that_the_store_has_lost_is_damage_and_no_missing_key(folder):
    """It is told with the chain and without, once keys are given; whoever has none cannot know."""
    with closing(sqlite3.connect(folder / "s.db")) as connection, connection:
        connection.execute("DELETE FROM data_keys WHERE subject='anna'")
    for arguments in (["verify"], ["verify", "--chain"]):
        told = says(folder, *arguments, status=1).stdout
        assert "fact: run a1, event 1: " in told
        assert "its data key is not in the store" in told
        assert "run b1" not in told
        assert "\nNOT SOUND: 2 runs" in told
    assert "\nsound: 2 runs" in says(folder, "verify", "--chain", keys="").stdout


def test_a_person_is_forgotten_once_it_is_meant(folder):
    command = [sys.executable, "-m", "agnt5", "shred", "anna", "--store", "s.db"]
    with (folder / "head").open() as nobody:  # no terminal
        asked = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "AGNT5_ENCRYPTION_KEYS": OLD},
            stdin=nobody,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert "Anna" in says(folder, "show", "a1").stdout
    done = json.loads(says(folder, "shred", "anna", "--yes", "--json").stdout)
    assert (done["runs"], done["keys"], done["scrubbed"]) == (["a1"], 1, True)
    assert "SHREDDED" in says(folder, "show", "a1", status=3).stderr
    assert "a1" in says(folder, "runs").stdout
    told = says(folder, "events", "a1", "--json").stdout
    assert "shredded" in told
    assert "Anna" not in told
    assert "0 data keys" in says(folder, "shred", "anna", "--yes").stdout
    out = says(folder, "export", "runs.jsonl", "--payloads", "plain")
    assert "1 run with" in out.stdout
    assert "1 that were shredded were left out" in out.stderr


def test_a_shredded_run_stops_nobody_of_many(folder):
    says(folder, "shred", "boris", "--yes")
    done = says(folder, "bulk", "fork", "--at", "1", "--yes", "--json", status=1)
    results = {item["run_id"]: item["result"] for item in json.loads(done.stdout)["items"]}
    assert results == {"a1": "done", "b1": "failed"}


def test_what_was_changed_is_shown_with_exit_status_1(folder):
    public = SigningKey(SECRET).public
    head = (folder / "head").read_text()
    given = ("verify", "--chain", "--public-key", public, "--head", head)
    assert says(folder, *given).stdout.startswith("whole: ")
    assert says(folder, "verify", "--chain", "--head", "9", status=2).stderr
    assert "give --chain" in says(folder, "verify", "--head", head, status=2).stderr
    other = SigningKey(SigningKey.new_secret()).public
    told = says(folder, "verify", "--chain", "--public-key", other, status=1).stdout
    assert "not given" in told
    assert "\nNOT SOUND: " in told
    with closing(sqlite3.connect(folder / "s.db")) as writer:
        writer.execute("DELETE FROM stored_events WHERE originator_id='a1'")
        writer.commit()
    told = json.loads(says(folder, *given, "--json", status=1).stdout)
    problems = told["chain"]["problems"]
    assert (told["ok"], [p["stream"] for p in problems]) == (False, ["a1"])
    assert told["counts"]["row"] == 1


def test_without_a_chain_or_without_keys_it_says_so(tmp_path):
    async def run():
        async with Runtime(f"sqlite:///{tmp_path}/s.db"):
            await AsyncClient().run("greet", {"name": "Anna"})

    asyncio.run(run())
    assert "no hash chain" in says(tmp_path, "verify", "--chain", keys="", status=2).stderr
    assert "not encrypted" in says(tmp_path, "rotate-keys", keys="", status=2).stderr
    assert "not encrypted" in says(tmp_path, "shred", "anna", "--yes", keys="", status=2).stderr


def test_an_export_of_an_encrypted_store_needs_a_word(folder):
    assert "--payloads" in says(folder, "export", "--help").stdout
    refused = says(folder, "export", "runs.jsonl", status=2)
    assert "payloads='plain'" in refused.stderr
    says(folder, "export", "runs.jsonl", "--payloads", "sealed")
    assert b"Anna" not in (folder / "runs.jsonl").read_bytes()
    says(folder, "export", "runs.jsonl", "--payloads", "plain")
    assert b"Anna" in (folder / "runs.jsonl").read_bytes()
