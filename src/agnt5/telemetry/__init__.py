"""Spans, metrics and trace contexts, made from facts once they are on record.

A fact is appended once, so that a replay tells nothing again. OpenTelemetry is imported where the
program around has imported it already, and used where that has set a provider.
"""
