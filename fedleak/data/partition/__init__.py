"""Partition schemes of the private training data among clients, one file per scheme."""
