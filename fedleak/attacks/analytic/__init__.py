"""Attacks that compute the input in closed form."""
