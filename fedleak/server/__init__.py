"""The server: aggregation of updates, staleness, secure aggregation and model crafting."""
