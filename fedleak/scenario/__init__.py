"""Scenarios: the user's YAML files, read and checked before anything runs."""
