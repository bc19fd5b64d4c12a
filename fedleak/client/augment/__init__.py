"""Data-side defenses: changes to a client's batch before training, one file per kind."""
