"""How the private training data is dealt to the clients, one file per scheme."""
