"""Audit the licences of this environment, and survive a kill -9 on the way.

    python examples/license_audit.py

The first half of this file is an ordinary durable workflow: it lists the distributions installed
beside it, reads the licence of each in a step of its own, classifies them, asks a person about a
doubtful one, and reports. The second half is the demonstration: it starts the workflow in another
process, kills that process in the middle, starts it again, answers the question, and checks from
outside that no completed step was executed twice.
"""

import asyncio
import importlib.metadata
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from agnt5 import AsyncClient, Client, RunStatus, Runtime, WorkflowContext, function, workflow

# ------------------------------------------------------------------------------- the licences

PERMISSIVE, WEAK, STRONG, UNKNOWN = CLASSES = (
    "permissive",
    "weak copyleft",
    "strong copyleft",
    "unknown",
)

SPDX_PREFIXES = {
    PERMISSIVE: "0BSD AFL- Apache- Artistic-2 BSD- BSL- CC0- CNRI- HPND ISC MIT NCSA PSF- Python- "
    "PostgreSQL Unlicense WTFPL X11 Zlib ZPL-",
    WEAK: "CDDL- EPL- LGPL- MPL-",
    STRONG: "AGPL- GPL- OSL-",
}
# As people write them in the License field and in classifiers. The first that matches counts.
NAMES = (
    (r"affero|\bagpl", "AGPL", STRONG),
    (r"lesser general public|library general public|\blgpl", "LGPL", WEAK),
    (r"general public licen[cs]e|\bgpl", "GPL", STRONG),
    (r"mozilla public|\bmpl", "MPL", WEAK),
    (r"eclipse public|\bepl\b", "EPL", WEAK),
    (r"\bapache\b", "Apache", PERMISSIVE),
    (r"\bmit\b|\bexpat\b", "MIT", PERMISSIVE),
    (r"\bbsd\b", "BSD", PERMISSIVE),
    (r"\bisc\b", "ISC", PERMISSIVE),
    (r"python software foundation|\bpsf\b", "PSF", PERMISSIVE),
    (r"unlicense|public domain", "public domain", PERMISSIVE),
)
# As licences themselves read. The phrase that stands first in the file counts.
PHRASES = (
    ("gnu affero general public license", "AGPL", STRONG),
    ("gnu lesser general public license", "LGPL", WEAK),
    ("gnu library general public license", "LGPL", WEAK),
    ("gnu general public license", "GPL", STRONG),
    ("mozilla public license", "MPL", WEAK),
    ("eclipse public license", "EPL", WEAK),
    ("apache license", "Apache", PERMISSIVE),
    ("permission is hereby granted, free of charge", "MIT", PERMISSIVE),
    ("redistribution and use in source and binary forms", "BSD", PERMISSIVE),
    ("permission to use, copy, modify, and/or distribute", "ISC", PERMISSIVE),
    ("permission to use, copy, modify, and distribute", "ISC", PERMISSIVE),
    ("python software foundation license", "PSF", PERMISSIVE),
    ("released into the public domain", "public domain", PERMISSIVE),
)
# How far a finding can be trusted, by where it was found.
CERTAINTY = {"expression": 3, "field": 2, "classifier": 2, "file": 1, "nothing": 0}


def class_of_name(identifier, exception=None):
    for kind, prefixes in SPDX_PREFIXES.items():
        if identifier.startswith(tuple(prefixes.split())):
            return WEAK if kind == STRONG and exception else kind
    return UNKNOWN


def class_of_expression(expression):
    """Read an SPDX expression: of ``a OR b`` the milder counts, of ``a AND b`` the stricter."""
    tokens = re.findall(r"[()]|[^\s()]+", expression)

    def atom():
        token = tokens.pop(0)
        if token == "(":
            inner = either()
            tokens.pop(0)
            return inner
        exception = None
        if tokens[:1] == ["WITH"]:
            _, exception = tokens.pop(0), tokens.pop(0)
        return class_of_name(token, exception)

    def both():
        found = [atom()]
        while tokens[:1] == ["AND"]:
            tokens.pop(0)
            found.append(atom())
        return max(found, key=CLASSES.index)

    def either():
        found = [both()]
        while tokens[:1] == ["OR"]:
            tokens.pop(0)
            found.append(both())
        return min(found, key=CLASSES.index)

    try:
        kind = either()
    except IndexError:
        return UNKNOWN
    return UNKNOWN if tokens else kind


def named_in(text):
    for pattern, name, kind in NAMES:
        if re.search(pattern, text, re.IGNORECASE):
            return name, kind
    return None


def read_in(text):
    plain = re.sub(r"\s+", " ", text).lower()
    found = [(plain.find(phrase), name, kind) for phrase, name, kind in PHRASES if phrase in plain]
    return min(found)[1:] if found else None


def licence_files(distribution):
    """Texts of the licence files beside the metadata, not those of vendored code."""
    for file in distribution.files or ():
        beside = file.parent.name.endswith(".dist-info") or file.parent.name == "licenses"
        if beside and re.match(r"LICEN[CS]E|COPYING", file.name, re.IGNORECASE):
            path = Path(str(distribution.locate_file(file)))
            if path.is_file():
                yield file.name, path.read_text(encoding="utf-8", errors="replace")


# ------------------------------------------------------------------------------- the workflow

PAUSE_S = 0.05  # real reading takes a millisecond; this makes the fan-out long enough to watch


def leave_witness(step, subject=""):
    """Note outside of the store that a step is being executed, before it does anything."""
    path = os.environ.get("AUDIT_WITNESS")
    if path:
        line = f"{os.getpid()}\t{step}\t{subject}\n".encode()
        witness = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(witness, line)
        os.close(witness)


@function
def list_distributions() -> list[str]:
    leave_witness("list_distributions")
    named = (d.metadata["Name"] for d in importlib.metadata.distributions())
    return sorted({name for name in named if name}, key=str.lower)


@function(retries=3, concurrency=2)
def read_licence(name: str) -> dict[str, str]:
    """What a distribution says of its licence, and where it says so."""
    leave_witness("read_licence", name)
    time.sleep(PAUSE_S)
    distribution = importlib.metadata.distribution(name)
    metadata = distribution.metadata
    found = {"name": name, "version": distribution.version}
    expression = metadata.get("License-Expression")
    if expression:
        return {**found, "said": expression, "where": "expression"}
    field = (metadata.get("License") or "").strip()
    if field and "\n" not in field and named_in(field):
        return {**found, "said": field, "where": "field"}
    classifiers = [c for c in metadata.get_all("Classifier", []) if c.startswith("License ::")]
    for classifier in classifiers:
        if named_in(classifier):
            return {**found, "said": classifier.rpartition(" :: ")[2], "where": "classifier"}
    for file, text in [("License", field), *licence_files(distribution)]:
        known = read_in(text)
        if known:
            return {**found, "said": f"{known[0]} (read in {file})", "where": "file"}
    return {**found, "said": field.partition("\n")[0] or "nothing", "where": "nothing"}


@function
def classify(findings: list[dict[str, str]]) -> list[dict[str, str]]:
    leave_witness("classify")
    return [{**finding, "class": class_of(finding)} for finding in findings]


def class_of(finding):
    if finding["where"] == "expression":
        return class_of_expression(finding["said"])
    known = named_in(finding["said"])
    return known[1] if known and finding["where"] != "nothing" else UNKNOWN


@function
def write_report(audited: list[dict[str, str]]) -> dict[str, object]:
    leave_witness("write_report")
    counts = Counter(each["class"] for each in audited)
    return {
        "distributions": audited,
        "counts": {kind: counts[kind] for kind in CLASSES},
    }


def doubtful(audited):
    """The unknown ones; if there are none, the one that we are least certain of."""
    unknown = [each for each in audited if each["class"] == UNKNOWN]
    return unknown or [min(audited, key=lambda e: (CERTAINTY[e["where"]], -len(e["said"])))]


@workflow
async def license_audit(ctx: WorkflowContext) -> dict[str, object]:
    names = await ctx.step(list_distributions)
    findings = await ctx.parallel(*(ctx.step(read_licence, name, key=name) for name in names))
    audited = await ctx.step(classify, findings)
    for each in doubtful(audited):
        each["class"] = await ctx.wait_for_user(
            f"{each['name']} {each['version']} says {each['said']!r} ({each['where']}):"
            f" taken for {each['class']}. What is it?",
            input_type="select",
            options=[{"id": kind, "label": kind} for kind in CLASSES],
        )
        each["where"] += ", confirmed by a person"
    return await ctx.step(write_report, audited)


PATIENCE_S = 40
THE_RUN = {
    "component": "license_audit",
    "component_type": "workflow",
    "idempotency_key": "demo",
    "timeout": PATIENCE_S,
}


async def work(store):
    """The worker: start the audit or take it up again, until it is done or waits for a person."""
    async with Runtime(store=store):
        response = await AsyncClient().run(**THE_RUN)
        response.raise_for_status()


# ------------------------------------------------------------------------------- the demonstration


def say(text=""):
    print(text, flush=True)


def witnessed(path):
    """Who executed which step, in order, as the steps themselves have noted it."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    return [(int(pid), f"{step} {subject}".strip()) for pid, step, subject in map(_split, lines)]


def _split(line):
    return line.split("\t")


def on_record(database):
    """The log as it lies in the file, read with sqlite3 and without agnt5."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        query = "SELECT rowid, event_id, topic, step FROM stored_events ORDER BY rowid"
        return connection.execute(query).fetchall()


def steps_with(topic, rows):
    """Keys such as ``:classify#0`` and ``@read_licence:anyio``, as the witness writes them."""
    keys = [step for _, _, found, step in rows if found == topic]
    return [key.lstrip(":@").replace("#0", "").replace(":", " ") for key in keys]


def start_worker(database):
    command = [sys.executable, __file__, "--worker", f"sqlite:///{database}"]
    return subprocess.Popen(command)


def reads(steps):
    return sum(step.startswith("read_licence") for step in steps)


def in_the_middle(database, witness, wanted):
    """Enough steps have begun, and the first results are on record (a slow disk may lag)."""
    if reads(step for _, step in witnessed(witness)) < wanted:
        return False
    return reads(steps_with("StepCompleted", on_record(database))) > 0


def kill_in_the_middle(worker, database, witness, wanted):
    deadline = time.monotonic() + PATIENCE_S
    while not in_the_middle(database, witness, wanted):
        if worker.poll() is not None or time.monotonic() > deadline:
            worker.kill()
            sys.exit("the worker ended, or did nothing for a minute, before it could be killed")
        time.sleep(0.002)
    time.sleep(PAUSE_S / 2)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()


def first_life(database, witness):
    total = len({d.metadata["Name"] for d in importlib.metadata.distributions()})
    worker = start_worker(database)
    say(f"1. A worker (process {worker.pid}) audits {total} distributions, two at a time.")
    kill_in_the_middle(worker, database, witness, max(3, total // 2))
    say("   kill -9, in the middle of the fan-out.")
    say()
    rows = on_record(database)
    completed = steps_with("StepCompleted", rows)
    cut_short = sorted(set(steps_with("StepScheduled", rows)) - set(completed))
    begun = {step for _, step in witnessed(witness)} - set(completed)
    say("2. What is on record now, read from the file with plain sqlite3:")
    say(
        f"   {len(rows)} events; {len(completed)} steps completed, {len(cut_short)} asked for only,"
    )
    say(f"   {len(begun)} of those cut short by the kill: {', '.join(sorted(begun)) or 'none'}")
    say()
    return rows, completed


def second_life(database):
    worker = start_worker(database)
    say(f"3. A new worker (process {worker.pid}) takes the run up again.")
    if worker.wait() != 0:  # it loses patience by itself
        sys.exit(f"the second worker ended with status {worker.returncode}")
    say("   It has done all it can, and ended: the run waits for a person, on disk only.")
    say()


def answer(client):
    say("4. This process opens the same store and answers.")
    response = client.run(**THE_RUN)
    while response.status is RunStatus.PAUSED:
        question = response.metadata["question"]
        taken_for = re.search(r"taken for ([a-z ]+)\.", question).group(1)
        say(f"   ? {question}")
        say(f"   > {taken_for}")
        client.resume(response.run_id, taken_for)
        response = client.run(**THE_RUN)
    say()
    return response.raise_for_status()


def print_report(report):
    distributions = report["distributions"]
    say(f"5. The report: {len(distributions)} distributions")
    for kind in CLASSES:
        say(f"   {report['counts'][kind]:>4}  {kind}")
    notable = [d for d in distributions if d["class"] != PERMISSIVE or "person" in d["where"]]
    for each in notable:
        about = f"{each['name']} {each['version']}"
        say(f"   {about:<28} {each['class']:<16} {each['said']} ({each['where']})")
    say()


def print_events(events, recorded_at_kill):
    say("6. The run's log")
    # Every function.* event has a workflow.step.* twin, which says the same.
    shown = [event for event in events if not event.event_type.startswith("function.")]
    begin = shown[0].timestamp_ns
    rows = []
    for event in shown:
        version = event.metadata["version"]
        if version > recorded_at_kill:
            rows.append("   ---- kill -9: everything above was on record " + "-" * 34)
            recorded_at_kill = len(events)
        after_ms = (event.timestamp_ns - begin) / 1e6
        rows.append(
            f"   {version:>4} {after_ms:>8.0f} ms  {event.event_type:<24} {event.step_key or ''}"
        )
    say(f"   {'#':>4} {'after':>11}  {'event':<24} key")
    head, tail, around = 12, 12, 5
    at_kill = next((i for i, row in enumerate(rows) if "----" in row), 0)
    skipped = 0
    for i, row in enumerate(rows):
        if i < head or i >= len(rows) - tail or abs(i - at_kill) <= around:
            if skipped:
                say(f"        ... {skipped} more of the same, left out ...")
                skipped = 0
            say(row)
        else:
            skipped += 1
    say()


QUESTIONS = {
    "How many licences are on record, and how many of them were read after the kill?": (
        "SELECT count(*), sum(position > :killed) FROM agnt5_events"
        " WHERE topic = 'StepCompleted' AND step_key LIKE '@read_licence:%'"
    ),
    "Who was asked what, and what did they say?": (
        "SELECT substr(question, 1, 40) || '...', answer FROM agnt5_approvals"
    ),
    "Which step took longest, in milliseconds?": (
        "SELECT step_key, round(max(duration_us) / 1e3, 1) FROM agnt5_steps"
    ),
}


def ask_the_log(database, recorded_at_kill):
    say("8. Three questions to the log, in a line of SQL each; any SQLite tool can ask them")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for question, sql in QUESTIONS.items():
            say(f"   {question}")
            say(f"   > {sql.replace(':killed', str(recorded_at_kill))}")
            for row in connection.execute(sql, {"killed": recorded_at_kill}):
                say(f"   = {' | '.join(map(str, row))}")
    say()


def check(promise, *, kept):
    say(f"   {'kept  ' if kept else 'BROKEN'}  {promise}")
    return kept


def check_promises(before, completed_before, database, witness, report):
    lives = witnessed(witness)
    first = lives[0][0]
    ran_before = [step for pid, step in lives if pid == first]
    ran_after = [step for pid, step in lives if pid != first]
    after = on_record(database)
    completed = Counter(steps_with("StepCompleted", after))
    repeated = sorted(set(completed_before) & set(ran_after))
    twice = sorted(set(ran_before) & set(ran_after))
    names = {d["name"] for d in report["distributions"]}
    say("7. The promises, checked against a witness file that every step writes to")
    say(f"   {len(ran_before)} steps executed before the kill, {len(ran_after)} after it")
    say(f"   {len(twice)} executed twice, because the kill cut them short: at least once, not more")
    say(f"   {len(repeated)} completed steps repeated")
    promises = [
        check("the kill came in the middle", kept=0 < reads(completed_before) < len(names)),
        check("no completed step was executed again", kept=not repeated),
        check("every step has exactly one recorded result", kept=set(completed.values()) == {1}),
        check("every distribution is in the report", kept=_all_read(names, completed)),
        check("the log only grew", kept=after[: len(before)] == before),
    ]
    say()
    return all(promises)


def _all_read(names, completed):
    return {f"read_licence {name}" for name in names} == {s for s in completed if " " in s}


def demonstrate():
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="agnt5-demo-") as folder:
        database, witness = Path(folder, "audit.db"), Path(folder, "witness.txt")
        os.environ["AUDIT_WITNESS"] = str(witness)
        say(f"A licence audit that survives kill -9. Store: {database}")
        say()
        before, completed_before = first_life(database, witness)
        second_life(database)
        client = Client(store=f"sqlite:///{database}")
        try:
            response = answer(client)
            print_report(response.output)
            print_events(list(client.get_events(response.run_id)), len(before))
            kept = check_promises(before, completed_before, database, witness, response.output)
            ask_the_log(database, len(before))
        finally:
            client.runtime.call(client.runtime.aclose)
    say(f"Done in {time.monotonic() - started:.1f} s." if kept else "A promise was broken.")
    return 0 if kept else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        asyncio.run(work(sys.argv[2]))
    else:
        sys.exit(demonstrate())
