"""``agnt5 show``: one run on one page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from agnt5.cli.harmless import harmless
from agnt5.cli.opening import look, run_of, store_option
from agnt5.cli.output import json_option, json_text, print_json, print_table, print_text
from agnt5.cli.runs_command import lasted

if TYPE_CHECKING:
    from agnt5.client import AsyncClient
    from agnt5.explanations import Explanation
    from agnt5.responses import Event
    from agnt5.snapshots import RunSnapshot

_LONGEST = 60


@dataclass
class Step:
    """A step of a run, as its events tell it."""

    key: str
    name: str | None = None
    status: str = "open"
    attempts: int = 1
    duration_ms: float | None = None
    output: object = None
    error: object = None


@click.command("show")
@click.argument("run")
@store_option
@json_option
def show(store: str | None, run: str, *, as_json: bool) -> None:
    """Show a run on one page: what it is, its steps, who answered, what it waits for.

    RUN is the id of a run, or the first characters of one.
    """

    async def ask(client: AsyncClient) -> tuple[RunSnapshot, Explanation, list[Event]]:
        run_id = await run_of(client, run)
        found = await client.get_events(run_id)
        return await client.state_at(run_id), await client.explain(run_id), list(found)

    snapshot, explanation, events = look(store, ask)
    steps = steps_of(events)
    if as_json:
        document = {
            "run": snapshot.model_dump(mode="json"),
            "steps": [vars(step) for step in steps],
            "explanation": explanation.model_dump(mode="json"),
        }
        print_json(document)
        return
    print_text("\n".join(_headlines(snapshot)))
    if steps:
        print_text("")
        rows = [
            (step.key, step.status, step.attempts, _took(step.duration_ms), _outcome(step))
            for step in steps
        ]
        print_table(("STEP", "STATUS", "ATTEMPTS", "TOOK", "OUTCOME"), rows)
    others = [*_questions(snapshot), *_children(snapshot)]
    if others:
        print_text("\n".join(["", *others]))
    print_text(f"\n{explanation}")


def steps_of(events: Iterable[Event]) -> list[Step]:
    """The steps of a run, in the order in which they were asked for."""
    steps: dict[str, Step] = {}
    for event in events:
        _, _, stage = event.event_type.rpartition(".")
        is_step = event.event_type.startswith(("workflow.step.", "function."))
        if not is_step or event.step_key is None:
            if event.event_type == "operation.cancelled" and event.step_key in steps:
                steps[event.step_key].status = "cancelled"
            continue
        step = steps.setdefault(event.step_key, Step(event.step_key))
        about = event.metadata
        step.name = about.get("name", step.name)
        if isinstance(about.get("attempt"), int):
            step.attempts = max(step.attempts, about["attempt"] + 1)
        if "retry_at" in about:
            step.error = about["error"]  # of an attempt; there is to be another one
        elif stage in {"completed", "failed"}:
            step.status = stage
            step.duration_ms = about.get("duration_ms")
            step.output, step.error = event.output_data, about.get("error")
    return list(steps.values())


def _headlines(run: RunSnapshot) -> list[str]:
    version = f", version {run.version_label}" if run.version_label else ""
    lines = [f"{run.run_id}  {run.kind} {run.component}{version}: {run.status}"]
    times = (
        ("accepted", run.created_at),
        ("began", run.started_at),
        ("ended", run.finished_at),
    )
    lines.append("  ".join(f"{what} {at:%Y-%m-%d %H:%M:%S}" for what, at in times if at) + "  UTC")
    about = (
        ("user", run.user_id),
        ("session", run.session_id),
        ("key", run.idempotency_key),
        ("queue", run.queue),
        ("parent", run.parent_run_id),
    )
    told = "  ".join(f"{what} {value}" for what, value in about if value is not None)
    return [*lines, *([told] if told else []), f"input {_short(run.input)}"]


def _questions(run: RunSnapshot) -> list[str]:
    """What people were asked, and what came of it; an open question is among the waits."""
    lines: list[str] = []
    for asked in run.questions.values():
        answer = "" if asked.answer is None else f" {_short(asked.answer)}"
        by = "" if asked.actor is None else f" by {harmless(asked.actor)}"
        at = "" if asked.answered_at is None else f" at {asked.answered_at:%Y-%m-%d %H:%M:%S}"
        why = "" if asked.reason is None else f": {_short(asked.reason)}"
        if asked.status != "open":
            lines.append(f"question {_short(asked.question)} {asked.status}{answer}{by}{at}{why}")
    return lines


def _children(run: RunSnapshot) -> list[str]:
    return [
        f"child {child.child_run_id} ({child.kind} {child.component}): {child.status}"
        for child in run.children.values()
    ]


def _took(duration_ms: float | None) -> str:
    return "" if duration_ms is None else lasted(duration_ms / 1000)


def _outcome(step: Step) -> str:
    if isinstance(step.error, dict):
        return _short(step.error.get("message", ""))
    return _short(step.output) if step.status == "completed" else ""


def _short(value: object) -> str:
    text = json_text(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
