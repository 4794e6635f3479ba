"""A worker looks whether the letter was sent, stands still, and sends it when another one has."""

from __future__ import annotations

from agnt5 import Happened, NotHappened, WorkflowContext, function, verify, workflow
from agnt5.testing import Effects

post = Effects("post", exactly_once=["send"])
safe = Effects("safe")
SAYS = "send(to='Ada') may be done once, and was done 2 times by step mutant_post#0"
ARGUMENTS = {"input": {"to": "Ada"}, "late_effects": True}


def look_up(to: str) -> Happened | NotHappened:
    return Happened("sent") if post.happened("send") else NotHappened()


@function(recovery=verify(look_up))
async def mutant_post(to: str) -> str:
    post.record("send", to=to)
    return "sent"


@function
async def mutant_post_with_a_key(to: str) -> str:
    safe.record("send", to=to)  # the service tells a repetition by ctx.idempotency_key
    return "sent"


@workflow
async def buggy_post(ctx: WorkflowContext, to: str) -> str:
    return await ctx.step(mutant_post, to)


@workflow
async def mended_post(ctx: WorkflowContext, to: str) -> str:
    return await ctx.step(mutant_post_with_a_key, to)


buggy, mended = buggy_post, mended_post
