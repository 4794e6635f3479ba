"""The ledger of entities: keyed state that outlives runs, changed by one call at a time."""
