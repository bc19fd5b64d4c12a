"""The three stages of a run, joined only by files: federate, attack, score."""
