"""A local, read-only page over a folder of runs and studies."""
