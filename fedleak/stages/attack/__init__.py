"""Second stage: attack a transcript, limited to the capabilities that the scenario grants."""
