"""The real Flower federation, with the adversary on its channels."""
