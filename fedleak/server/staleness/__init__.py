"""Staleness models: how old the models are that clients compute their updates on, one file per kind."""
