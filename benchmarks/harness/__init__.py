"""Runs the same work on several durable-execution engines; see ../README.md."""
