"""A step that may be done once is retried, though its failure can come after its effect."""

from __future__ import annotations

from agnt5 import Happened, NotHappened, WorkflowContext, function, verify, workflow
from agnt5.testing import Effects

post = Effects("post", exactly_once=["send"])
SAYS = "send(to='Ada') may be done once, and was done 2 times by step mutant_send#0"
ARGUMENTS = {"input": {"to": "Ada"}}


@function(retries=3)
async def mutant_send(to: str) -> str:
    post.record("send", to=to)
    return "sent"


def look_up(to: str) -> Happened | NotHappened:
    return Happened("sent") if post.happened("send") else NotHappened()


@function(recovery=verify(look_up))
async def mutant_send_once(to: str) -> str:
    post.record("send", to=to)
    return "sent"


@workflow
async def buggy_letter(ctx: WorkflowContext, to: str) -> str:
    return await ctx.step(mutant_send, to)


@workflow
async def mended_letter(ctx: WorkflowContext, to: str) -> str:
    return await ctx.step(mutant_send_once, to)


buggy, mended = buggy_letter, mended_letter
