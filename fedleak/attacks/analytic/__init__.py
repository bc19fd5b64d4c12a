"""Attacks that solve for the input in closed form."""
