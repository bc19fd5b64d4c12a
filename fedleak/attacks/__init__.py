"""The attacks. Nothing below this folder may import datasets, federation, truth, metrics or results."""
