"""Second stage: attack a transcript, seen only through what the scenario grants."""
