"""Scenarios: what a user writes, read and checked before anything runs."""
