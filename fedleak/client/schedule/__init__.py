"""How a client's learning rate changes in the course of its local steps."""
