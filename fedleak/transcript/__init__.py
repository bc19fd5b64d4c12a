"""The on-disk record of everything that an adversary could observe. It knows nothing of truth."""
