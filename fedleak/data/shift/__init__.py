"""Distribution shifts between the adversary's public and the clients' private data, one file per kind."""
