"""Attacks on a user's own network and updates, without a scenario or a federation."""
