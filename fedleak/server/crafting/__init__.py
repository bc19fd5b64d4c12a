"""Crafted models: how a malicious server changes the model that it sends to a client."""
