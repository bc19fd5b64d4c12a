"""Aggregation rules of the asynchronous server, one file per rule."""
