"""How close a reconstruction is to the truth, one metric per file, one value per image."""
