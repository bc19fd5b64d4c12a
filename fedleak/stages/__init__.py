"""The three stages of a run, connected only through files: federate, attack, score."""
