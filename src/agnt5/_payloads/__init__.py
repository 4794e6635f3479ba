"""The workshop of :mod:`agnt5.payloads`: one module per sort of value."""
