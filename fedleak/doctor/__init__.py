"""Preflight: the mistakes behind most attacks that seem to fail."""
