"""Experiment trackers that results can be logged to, one file each."""
