"""Checks for common causes of failing attacks, before or after a run."""
