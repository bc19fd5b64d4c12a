"""Scores: the one place where reconstructions meet truth."""
