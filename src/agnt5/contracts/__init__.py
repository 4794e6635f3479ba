"""Contracts: what must hold of every history, said once, and watched in tests and in production.

A *pattern* says whether an event matters, looking at it and at what came before: a formula of
past-time temporal logic. A *contract* says what the whole history must be like: a formula of linear
temporal logic on finite traces. Both are monitors: pure, with a state, one step per event.
"""

from agnt5.contracts.contract import Contract
from agnt5.contracts.observed import ContractEvent
from agnt5.contracts.patterns import (
    Pattern,
    StepPattern,
    asked,
    child,
    emitted,
    fact,
    named,
    run,
    signal,
    step,
    update,
)
from agnt5.contracts.rules import (
    always,
    at_least,
    at_most,
    at_most_once,
    eventually,
    exactly,
    exactly_once,
    never,
)
from agnt5.contracts.verdicts import Checked, Verdict, Violation

__all__ = [
    "Checked",
    "Contract",
    "ContractEvent",
    "Pattern",
    "StepPattern",
    "Verdict",
    "Violation",
    "always",
    "asked",
    "at_least",
    "at_most",
    "at_most_once",
    "child",
    "emitted",
    "eventually",
    "exactly",
    "exactly_once",
    "fact",
    "named",
    "never",
    "run",
    "signal",
    "step",
    "update",
]
