"""Attacks that read what a malicious server's crafted model leaves in an update."""
