"""Local optimisers of clients other than SGD, one file per kind."""
