"""Result files of a run: ``results.json`` and ``results.csv``."""
