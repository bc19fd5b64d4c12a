"""Federations on Flower's SuperLink and SuperNodes: keys, nodes' data, and the server's side of a run."""
