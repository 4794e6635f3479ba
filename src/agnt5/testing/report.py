"""A counterexample as a text that a person reads once and understands."""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from agnt5.events.run import facts as f
from agnt5.payloads import decode, decode_error
from agnt5.testing.schedule import Circumstances, Moment, Schedule
from agnt5.testing.seen import Seen
from agnt5.testing.verdict import Problem
from agnt5.testing.world import RUN, Death, World

_WIDTH = 100
_MOST_EVENTS = 60
_MOST_EFFECTS = 20


@dataclass(frozen=True)
class Counterexample:
    """The smallest schedule that was found to go wrong, and all that is known of it."""

    world: World
    seen: Seen
    calm: Seen
    problems: Sequence[Problem]
    tried: int
    """How many schedules were played."""
    seed: int
    kept: Path | None = None
    """Where it was written down, to be tried first the next time."""
    source: str | None = None
    """The file of the workflow, to show its lines."""

    @property
    def schedule(self) -> Schedule:
        """The schedule."""
        return self.world.schedule

    def __str__(self) -> str:
        """The report."""
        parts = [
            self._headline(),
            *(self._problem(each) for each in self.problems),
            self._schedule(),
            self._log(),
            self._effects(),
            self._comparison(),
            self._last(),
        ]
        return "\n\n".join(part for part in parts if part)

    def _headline(self) -> str:
        subject = self.world.subject
        deaths = len(self.world.deaths)
        by = {0: "without any crash", 1: "by one crash"}.get(deaths, f"by {deaths} crashes")
        return f"{subject.name!r} ({subject.where}) is disproved {by}"

    def _problem(self, problem: Problem) -> str:
        lines = [f"  {line}" for line in _cut_report(problem.said).split("\n")]
        if problem.line is not None:
            file, _, number = problem.line.rpartition(":")
            path = self._path(file)
            text = linecache.getline(path, int(number)).strip() if path else ""
            lines.append(f"    {file.rpartition('/')[2]}:{number}    {text}".rstrip())
        if problem.advice:
            lines += wrap(f"({problem.advice})", 88, initial_indent="  ", subsequent_indent="   ")
        return "\n".join(lines)

    def _path(self, file: str) -> str | None:
        if "/" in file:
            return file
        if self.source is not None and Path(self.source).name == file:
            return self.source
        return None

    def _schedule(self) -> str:
        around = self.schedule.circumstances
        said = [f"{name}={value!r}" for name, value in around.input.items()]
        lines = [f"Input     {', '.join(said) or 'none'}"]
        lines += [f"Outside   {_moment(each)}" for each in around.moments]
        for each in around.failing:
            if each.attempts:
                how = "after its effect" if each.after_effect else "before its effect"
                times = "attempt fails" if each.attempts == 1 else f"{each.attempts} attempts fail"
                what = f"the first {times} with {each.error.__name__}, {how}"
                lines.append(f"Failures  {each.function}: {what}")
        if around.seed:
            lines.append(
                f"Lateness  by seed {around.seed}: appends, attempts and reports come late"
            )
        lines += [f"Crash {n}   {_death(death)}" for n, death in enumerate(self.world.deaths, 1)]
        if self.world.forgotten:
            lines.append(
                f"Forgotten {', '.join(self.world.forgotten)}, as a process forgets its memory"
            )
        return "\n".join(lines)

    def _log(self) -> str:
        facts = self.world.disk.facts(RUN)
        crashes = {0: "", 1: ", with the crash"}.get(len(self.world.deaths), ", with the crashes")
        lines = [f"The log of the run{crashes}:"]
        deaths = list(enumerate(self.world.deaths, 1))
        skipped = range(0)
        if len(facts) > _MOST_EVENTS:
            near = deaths[0][1].version if deaths else len(facts)
            start = max(0, min(near - _MOST_EVENTS // 2, len(facts) - _MOST_EVENTS))
            skipped = range(start)
        for version in range(len(facts) + 1):
            if version and version - 1 not in skipped:
                lines.append(_event(version, facts[version - 1]))
            for number, death in deaths:
                if death.version == version:
                    lines.append(f"  ---- crash {number}: {_death(death)}")
        return "\n".join(lines[: _MOST_EVENTS + 10])

    def _effects(self) -> str:
        effects = self.seen.outcome.effects
        if not effects:
            return ""
        lines = ["What was done to the outside world:"]
        for each in effects[:_MOST_EFFECTS]:
            step = "no step" if each.place is None else f"step {each.place[1].lstrip(':')}"
            lines.append(f"  life {each.life + 1}  {each.what}, by {step}")
        if len(effects) > _MOST_EFFECTS:
            lines.append(f"  and {len(effects) - _MOST_EFFECTS} more")
        return "\n".join(lines)

    def _comparison(self) -> str:
        if not self.world.deaths:
            return ""
        now, before = _cut(str(self.seen.outcome)), _cut(str(self.calm.outcome))
        return f"Calmly    it {before}\nHere      it {now}"

    def _last(self) -> str:
        lines = [f"Found by schedule {self.tried} (seed {self.seed})."]
        if self.kept is not None:
            lines.append(f"Kept in {self.kept}: it is tried first the next time.")
        return "\n".join(lines)


def _cut_report(said: str) -> str:
    """What an operator may do about a suspended run is no help to whoever writes it."""
    return said.partition("\nNothing is lost: the run is suspended")[0]


def _cut(said: str) -> str:
    first, _, more = said.partition("\n")
    return first if not more and len(first) <= _WIDTH else f"{first[:_WIDTH]} ..."


def _moment(moment: Moment) -> str:
    match moment.kind:
        case "signal":
            said = f"signal {moment.name!r} with {moment.value!r}"
            return f"{said}, {moment.after_s:g} s after the start"
        case "answer":
            said = f"answer {moment.value!r} to {moment.name!r}"
            return f"{said}, {moment.after_s:g} s after the question"
        case "cancel":
            return f"cancel, {moment.after_s:g} s after the start"


def _death(death: Death) -> str:
    what = ", ".join(dict.fromkeys(death.lost)) or "what comes next"
    match death.crash.when:
        case "before":
            return f"after event {death.version}, before {what} was recorded"
        case "after":
            return f"after event {death.version} was recorded, before anybody knew"
        case "evicted":
            return f"the run left memory after event {death.version}, its process went on"
        case "takeover":
            return f"another runtime takes the store over after event {death.version}"
        case "effect":
            done = death.effect.what if death.effect is not None else "an effect"
            return f"right after {done}, before its step could end"


def _event(version: int, fact: f.RunFact) -> str:
    line = getattr(fact, "line", None)
    said = f"  {version:>4}  {fact.topic:<18} {_said(fact)}".rstrip()
    return said if line is None else f"{said:<66}  {line}"


def _said(fact: f.RunFact) -> str:
    parts = [part for part in _parts(fact) if part]
    said = "  ".join(parts)
    return said if len(said) <= _WIDTH else f"{said[:_WIDTH]} ..."


def _parts(fact: f.RunFact) -> Iterator[str]:  # noqa: C901 - a flat match
    key = getattr(fact, "key", None)
    if isinstance(key, str):
        yield key.lstrip(":")
    match fact:
        case f.RunQueued():
            yield fact.component
        case f.StepCompleted():
            yield f"-> {decode(fact.output)!r}"
        case f.StepFailed() | f.StepAttemptFailed() | f.RunFailed():
            yield _error(fact.error)
        case f.SignalReceived():
            yield f"{fact.name} {decode(fact.payload)!r}"
        case f.SignalConsumed():
            yield f"-> {decode(fact.payload)!r}"
        case f.UserInputRequested():
            yield repr(fact.question)
        case f.UserReplied():
            yield f"-> {fact.answer!r}"
        case f.StepStarted():
            yield f"attempt {fact.attempt + 1}"
        case f.RunCompleted():
            yield f"{decode(fact.output)!r}"
        case f.RunSuspended():
            yield fact.reason
        case _:
            return


def _error(recorded: Any) -> str:
    error = decode_error(recorded)
    return f"{type(error).__name__}: {error}"


def outside_needed(circumstances: Circumstances, waits: str) -> str:
    """Why a calm run cannot end, and what the test has to declare."""
    given = ", ".join(sorted({repr(each.name) for each in circumstances.moments})) or "nothing"
    return (
        f"without any crash, {waits}, and nothing else is to come from outside. The test declares"
        f" {given}: add signals={{name: payload}} or answers={{question: answer}}."
    )
