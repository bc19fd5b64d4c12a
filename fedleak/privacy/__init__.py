"""Differential privacy: what clients do to be private, and how private that makes them."""
