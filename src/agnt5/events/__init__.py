"""The ledger: what happened, what it means, what follows from it. Nothing in here waits."""
