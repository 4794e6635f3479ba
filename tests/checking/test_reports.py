"""What comes out: JSON and SARIF, whole."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from agnt5.checking import RULES, Finding, check_sources
from agnt5.checking.reports import json_of, place_of, summary_of
from agnt5.checking.sarif import sarif_of

CODE = """\
import asyncio
from agnt5 import workflow

@workflow
async def flow(ctx):
    "ä" and await asyncio.sleep(5)
    return id(ctx)
"""
FOUND = check_sources({"app/my flows.py": CODE})

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
numbers = st.integers(1, 10**6)
findings = st.builds(
    lambda path, line, column, more, rule, message: Finding(
        path, line, column, line + more, column, rule.id, rule.severity, message, rule.fix
    ),
    texts.filter(lambda text: "\0" not in text),
    numbers,
    numbers,
    numbers,
    st.sampled_from(list(RULES.values())),
    texts,
)

# Of the published schema of SARIF 2.1.0: what an object must have, and all that it may have of
# what we write; nothing else is allowed there.
REQUIRED = {
    "log": {"version", "runs"},
    "run": {"tool"},
    "tool": {"driver"},
    "driver": {"name"},
    "descriptor": {"id"},
    "result": {"message"},
    "text": {"text"},
}
ALLOWED = {
    "log": {"$schema", "version", "runs", "inlineExternalProperties", "properties"},
    "run": {"tool", "results", "columnKind", "originalUriBaseIds", "invocations", "properties"},
    "tool": {"driver", "extensions", "properties"},
    "driver": {"name", "version", "rules", "informationUri", "semanticVersion", "properties"},
    "descriptor": {
        *("id", "name", "shortDescription", "fullDescription", "help", "helpUri"),
        *("defaultConfiguration", "properties"),
    },
    "configuration": {"enabled", "level", "rank", "parameters", "properties"},
    "result": {"ruleId", "ruleIndex", "level", "message", "locations", "properties"},
    "text": {"text", "markdown", "properties"},
    "location": {"id", "physicalLocation", "logicalLocations", "message", "properties"},
    "physical": {"artifactLocation", "region", "contextRegion", "properties"},
    "artifact": {"uri", "uriBaseId", "index", "description", "properties"},
    "region": {"startLine", "startColumn", "endLine", "endColumn", "snippet", "properties"},
}
LEVELS = {"none", "note", "warning", "error"}


def fits(kind, value):
    assert REQUIRED.get(kind, set()) <= value.keys() <= ALLOWED[kind], (kind, value.keys())
    return value


def check_sarif(log):
    assert fits("log", log)["version"] == "2.1.0"
    for run in log["runs"]:
        driver = fits("driver", fits("tool", fits("run", run)["tool"])["driver"])
        assert run["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
        rules = driver["rules"]
        for rule in rules:
            fits("descriptor", rule)
            fits("text", rule["shortDescription"])
            fits("text", rule["help"])
            assert fits("configuration", rule["defaultConfiguration"])["level"] in LEVELS
        for result in run["results"]:
            check_result(result, rules)


def check_result(result, rules):
    assert fits("result", result)["level"] in LEVELS
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    fits("text", result["message"])
    for location in result["locations"]:
        physical = fits("physical", fits("location", location)["physicalLocation"])
        uri = fits("artifact", physical["artifactLocation"])["uri"]
        assert uri.isascii()
        assert " " not in uri
        region = fits("region", physical["region"])
        assert all(isinstance(value, int) and value >= 1 for value in region.values())


def test_the_place_counts_characters_and_not_bytes():
    assert [place_of(each) for each in FOUND] == ["app/my flows.py:6:19", "app/my flows.py:7:12"]
    assert [(each.end_line, each.end_column) for each in FOUND] == [(6, 35), (7, 19)]


def test_the_summary_counts():
    assert summary_of(FOUND, 3) == "Found 1 error and 1 warning in 1 file; 3 files checked."
    assert summary_of(FOUND[1:], 1) == "Found 1 error in 1 file; 1 file checked."
    assert summary_of([], 1) == "1 file checked, nothing found."


def test_json():
    assert json_of(FOUND, 3) == {
        "version": 1,
        "files": 3,
        "errors": 1,
        "warnings": 1,
        "findings": [
            {
                "path": "app/my flows.py",
                "line": 6,
                "column": 19,
                "end_line": 6,
                "end_column": 35,
                "rule": "AG201",
                "severity": "warning",
                "message": "asyncio.sleep(): every replay sleeps again, in memory"
                " (in the body of workflow 'flow')",
                "fix": "use ctx.sleep(seconds), which survives a restart",
                "name": "real sleep",
            },
            {
                "path": "app/my flows.py",
                "line": 7,
                "column": 12,
                "end_line": 7,
                "end_column": 19,
                "rule": "AG105",
                "severity": "error",
                "message": "id(): its value differs from process to process"
                " (in the body of workflow 'flow')",
                "fix": "use a value of your own as key, such as a name",
                "name": "id() and hash()",
            },
        ],
    }


def test_a_result_of_sarif():
    (run,) = sarif_of(FOUND, "1.2.3")["runs"]
    assert run["tool"]["driver"]["name"] == "agnt5 check"
    assert run["tool"]["driver"]["version"] == "1.2.3"
    assert run["results"][0] == {
        "ruleId": "AG201",
        "ruleIndex": [*RULES].index("AG201"),
        "level": "warning",
        "message": {
            "text": "asyncio.sleep(): every replay sleeps again, in memory (in the body of workflow"
            " 'flow'). Fix: use ctx.sleep(seconds), which survives a restart."
        },
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "app/my%20flows.py", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 6, "startColumn": 19, "endLine": 6, "endColumn": 35},
                }
            }
        ],
    }


@given(st.lists(findings, max_size=3))
def test_sarif_is_what_the_schema_wants(found):
    check_sarif(json.loads(json.dumps(sarif_of(found, "1.0"))))


def test_an_absolute_path_is_a_file_url():
    (finding, *_) = check_sources({"/srv/flows.py": CODE})
    (run,) = sarif_of([finding], "1")["runs"]
    (location,) = run["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {"uri": "file:///srv/flows.py"}
