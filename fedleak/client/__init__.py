"""The client: local training, differential privacy, augmentation, guards, and post-processing of updates."""
