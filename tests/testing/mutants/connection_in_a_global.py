"""A step leaves a token in the module, and the next one needs it: a new process has none."""

from __future__ import annotations

from agnt5 import WorkflowContext, function, workflow

token: str | None = None
SAYS = "failed with RuntimeError: not logged in"


@function
async def mutant_log_in(user: str) -> str:
    global token
    token = f"token of {user}"
    return token


@function
async def mutant_fetch(given: str | None = None) -> str:
    if given is None and token is None:
        raise RuntimeError("not logged in")
    return "mail"


@workflow
async def buggy_mail(ctx: WorkflowContext) -> str:
    await ctx.step(mutant_log_in, "Ada")
    return await ctx.step(mutant_fetch)


@workflow
async def mended_mail(ctx: WorkflowContext) -> str:
    given = await ctx.step(mutant_log_in, "Ada")
    return await ctx.step(mutant_fetch, given)


buggy, mended = buggy_mail, mended_mail
