"""How the server makes one model of the updates that arrive, one file per rule."""
