"""Whole folders of histories, replayed on modules: by the function and by the command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.api.helpers import python

from agnt5 import Client, ConfigurationError, InvalidInputError, Workflow, WorkflowContext
from agnt5.cli.replay_command import replay as command
from agnt5.histories import MAX_BYTES
from agnt5.history_forms import read_form, write_form
from agnt5.testing.corpus import replay_corpus
from agnt5.testing.replay import Verdict

OLD = """
from agnt5 import WorkflowContext, function, workflow

@function
async def pay(n: int) -> int:
    return n

@workflow
async def order(ctx: WorkflowContext, n: int) -> int:
    await ctx.step(pay, n)
    return await ctx.step(pay, 2 * n)

@workflow
async def bill(ctx: WorkflowContext, n: int) -> int:
    return await ctx.step(pay, n)
"""
NEW = OLD.replace("pay, 2 * n", "pay, 3 * n")
BROKEN = OLD.replace("await ctx.step(pay, n)\n    return await", "return await")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder from which modules are imported, and forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def module(place: Path, name: str, code: str) -> str:
    (place / f"{name}.py").write_text(code)
    return name


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two orders in one file and a bill in another, of the old code; from another process."""
    place = tmp_path_factory.mktemp("recorded")
    module(place, "shop_old", OLD)
    (place / "corpus" / "more").mkdir(parents=True)
    code = (
        "import shop_old\nfrom agnt5 import Client\nclient = Client(store='memory://')\n"
        "for n in (1, 2):\n    client.run('order', {'n': n}, 'workflow', run_id=f'o{n}')\n"
        "client.run('bill', {'n': 3}, 'workflow', run_id='b')\n"
        "client.export_runs('corpus/orders.jsonl', component='order')\n"
        "client.export_runs('corpus/more/bills.jsonl', component='bill')\n"
    )
    process = python(code, cwd=place)
    assert process.wait(60) == 0, process.stderr.read()
    return place


@pytest.fixture
def corpus(place, recorded):
    """The same, in the folder of a test."""
    shutil.copytree(recorded, place, dirs_exist_ok=True)
    return place / "corpus"


def verdicts(report) -> dict[str, str]:
    return {each.run_id: str(each.verdict) for each in report.reports}


def test_every_run_meets_the_workflow_of_its_name(place, corpus):
    report = replay_corpus([corpus], module(place, "shop_same", OLD))
    assert verdicts(report) == dict.fromkeys(("b", "o1", "o2"), "compatible")
    assert report.is_fine(strict=True)
    assert report.text() == "3 replayed: 3 compatible"


def test_arguments_that_changed_fail_only_when_that_is_asked_for(place, corpus):
    report = replay_corpus([corpus], module(place, "shop_new", NEW))
    assert report.is_fine()
    assert not report.is_fine(strict=True)
    *shown, last = report.text().splitlines()
    assert last == "3 replayed: 3 compatible, 2 of the compatible ones with differences"
    assert sum("differs: input of ':pay#1'" in line for line in shown) == 2


def test_histories_as_columns_are_replayed_too(place, corpus):
    bills = corpus / "more" / "bills.jsonl"
    write_form(read_form(bills, None, MAX_BYTES), bills.with_suffix(".parquet"), None)
    bills.unlink()
    report = replay_corpus([corpus], module(place, "shop_columns", OLD))
    assert verdicts(report) == dict.fromkeys(("b", "o1", "o2"), "compatible")


def test_calls_that_are_gone_fail(place, corpus):
    report = replay_corpus([corpus / "orders.jsonl"], module(place, "shop_broken", BROKEN))
    assert verdicts(report) == dict.fromkeys(("o1", "o2"), "needs patched")
    assert not report.is_fine()
    assert report.counts == {
        "compatible": 0,
        "needs patched": 2,
        "needs a fork": 0,
        "undecided": 0,
    }


def test_runs_of_other_workflows_are_skipped_or_missing(place, corpus):
    module(place, "shop_part", OLD.replace("async def bill", "async def invoice"))
    report = replay_corpus([corpus], "shop_part:order")
    assert (len(report.reports), report.skipped) == (2, ("b",))
    assert report.text().endswith("2 replayed: 2 compatible, 1 skipped")
    report = replay_corpus([corpus], "shop_part")
    assert [each.run_id for each in report.reports if not each.is_compatible] == ["b"]
    (missing,) = (each for each in report.reports if not each.is_compatible)
    assert missing.verdict is Verdict.NEEDS_FORK
    assert "no workflow 'bill' here" in missing.reason


def test_versions_and_classes_are_found(place):
    class Shop(Workflow):
        async def run(self) -> int:
            return await self.step("one", lambda: 1)

    code = OLD.replace("@workflow\nasync def order", "@workflow(version='2')\nasync def order")
    with Client(store="memory://") as client:
        client.run("Shop", {}, "workflow", run_id="s")
        client.export_runs("shop.jsonl", "s")
    assert replay_corpus(["shop.jsonl"], Shop).is_fine(strict=True)
    module(place, "shop_two", code)
    with Client(store="memory://") as client:
        replay_corpus(["shop.jsonl"], "shop_two:order")
        client.run("order", {"n": 1}, "workflow", run_id="v", version="2")
        client.export_runs("two.jsonl", "v")
    assert replay_corpus(["two.jsonl"], "shop_two").is_fine(strict=True)


@pytest.mark.parametrize(
    ("paths", "against", "error", "problem"),
    [
        (["nowhere"], "shop_old", InvalidInputError, "no file 'nowhere'"),
        (["empty"], "shop_old", InvalidInputError, "no file of histories"),
        (["corpus"], "no_such_module", ConfigurationError, "cannot be imported"),
        (["corpus"], "shop_old:nobody", ConfigurationError, "no 'nobody'"),
        (["corpus"], "shop_old:OLD", ConfigurationError, "no 'OLD'"),
        (["corpus"], "shop_old:__name__", ConfigurationError, "is no workflow"),
        (["shop_old.py"], "shop_old", InvalidInputError, "shop_old.py, line 2"),
    ],
)
def test_what_cannot_be_meant_is_refused(place, corpus, paths, against, error, problem):
    (place / "empty").mkdir()
    with pytest.raises(error, match=problem):
        replay_corpus(paths, against)


def run_command(*arguments: str):
    return CliRunner().invoke(command, arguments, standalone_mode=False, catch_exceptions=False)


def test_the_command_says_it_by_its_code_too(place, corpus):
    module(place, "shop_new", NEW)
    fine = run_command("--against", "shop_new:order", "corpus")
    assert (fine.return_value, "1 skipped" in fine.output) == (0, True)
    assert run_command("--against", "shop_new:order", "--strict", "corpus").return_value == 1
    quiet = run_command("--against", "shop_new:bill", "corpus")
    assert quiet.output == "1 replayed: 1 compatible, 2 skipped\n"
    assert "run b of 'bill'" in run_command("--against", "shop_new:bill", "-v", "corpus").output


def test_the_installed_script_finds_the_code_of_the_folder_it_is_called_in(place, corpus):
    """And its exit code is the answer."""
    script = Path(sys.executable).with_name("agnt5")
    for name, code, status in (("shop_a", OLD, 0), ("shop_b", BROKEN, 1)):
        module(place, name, code)
        command = [script, "replay", "--against", name, "corpus"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert done.stderr == ""
    wrong = [script, "replay", "--against", "no_such_module", "corpus"]
    done = subprocess.run(wrong, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no_such_module" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_speaks_json(place, corpus):
    module(place, "shop_broken", BROKEN)
    result = run_command("--against", "shop_broken:order", "--json", "corpus/orders.jsonl")
    assert result.return_value == 1
    found = json.loads(result.output)
    assert found["counts"]["needs patched"] == 2
    assert [each["run_id"] for each in found["reports"]] == ["o1", "o2"]


def test_a_workflow_context_is_none_of_its_business():
    with pytest.raises(ConfigurationError, match="is no workflow"):
        replay_corpus([], WorkflowContext)
