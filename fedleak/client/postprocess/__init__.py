"""Post-processing of an update before it is shared, one file per kind."""
