"""Generators trained offline on injected pairs to map an update to its batch of images."""
