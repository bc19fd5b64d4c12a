"""Generators trained offline on injected pairs: update in, batch of images out."""
