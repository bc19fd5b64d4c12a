"""Attacks that search the inputs, or the weights, of a generative model of images."""
