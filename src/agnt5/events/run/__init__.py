"""The stream of one run: its facts, commands, effects, state and decider."""
