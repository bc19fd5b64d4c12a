"""Guards: checks for crafted weights that a client runs on a received model before training."""
