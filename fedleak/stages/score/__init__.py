"""Third stage: compare reconstructions with the ground truth, which the attack stage never reads."""
