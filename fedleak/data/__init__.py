"""Image data: sources, partitions among clients, and shifts between private and public images."""
