"""How the adversary's public data differs from the clients' private data, one file per kind of shift."""
