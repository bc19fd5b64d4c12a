"""Analyses of the leaked model at the victims' images, independent of any attack."""
