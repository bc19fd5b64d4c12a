"""Attacks that search the latent inputs or the weights of a generative image model."""
