"""What a client does: train, keep private, augment, guard itself, and what it does to an update before sharing it."""
