"""Label inference: which classes were in the batch, read off an update."""
