"""Studies: a scenario over a matrix of settings and seeds, with the claims that it is meant to hold or break."""
