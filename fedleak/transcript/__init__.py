"""The transcript: the on-disk record of everything that an adversary could observe, without ground truth."""
