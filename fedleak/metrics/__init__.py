"""Metrics that compare a reconstruction with the original: one file per metric, one value per image."""
