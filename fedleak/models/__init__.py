"""Architectures that a federation can train, one file each."""
