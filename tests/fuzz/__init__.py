"""Hostile inputs of every sort, through the command line; see ``oracle`` for what must hold."""
