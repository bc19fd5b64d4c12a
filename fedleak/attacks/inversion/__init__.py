"""Optimisation-based inversion: one engine, of which every attack is a configuration."""
