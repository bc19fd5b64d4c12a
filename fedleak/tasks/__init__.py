"""What clients learn: classification, regression, multi-label classification."""
