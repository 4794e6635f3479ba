"""What tests of workflows are made of. Its parts are imported from their own modules."""
