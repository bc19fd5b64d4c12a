"""How an adversary's server changes the model that a client is sent."""
