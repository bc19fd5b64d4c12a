"""Strategies of the server: what it makes of a round's mean update, one file per kind."""
