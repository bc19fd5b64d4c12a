"""What an honest client can check before it trains a model that it was sent: signs of crafted weights."""
