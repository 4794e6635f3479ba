"""The command ``agnt5``: one module per command, each of them with a click command."""
