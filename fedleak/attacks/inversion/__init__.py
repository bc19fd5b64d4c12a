"""Optimisation-based inversion: attacks that are configurations of one engine."""
