"""How updates look on the wire: the shortest of a few exact encodings, tensor by tensor."""
