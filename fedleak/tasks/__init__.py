"""Learning tasks of the clients: classification, regression, multi-label classification."""
