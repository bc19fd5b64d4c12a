"""Label inference: recovers the classes of a batch from its update."""
