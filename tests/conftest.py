"""What every test may rely on: Hypothesis' profiles and asyncio as the loop."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# No deadline and no `too_slow`: a test that reaches a disk is as slow as the disk.
for name, examples in {"dev": 50, "ci": 200, "night": 2000}.items():
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        derandomize=name == "ci",
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # In the background of a shell it is ignored, and every child would ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "dev")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The loop that bodies are written for: they may use asyncio's own tools."""
    return "asyncio"
