"""The ledger of schedules: one stream for each workflow with a cron expression."""
