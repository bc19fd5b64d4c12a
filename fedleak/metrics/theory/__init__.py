"""Predictions of theorems about an update: images computed from the ground truth, to compare with attacks."""
