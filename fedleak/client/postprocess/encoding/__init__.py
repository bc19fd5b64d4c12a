"""Encoding of updates for transmission: the shortest of a few lossless encodings for each tensor."""
