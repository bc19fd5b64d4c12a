"""Where results can be logged beside the run directory: experiment trackers, one file each."""
