"""Benchmarks of speed and memory for ``fedleak bench``; tests do not measure time."""
