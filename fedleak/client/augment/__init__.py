"""What a client does to its images before it trains on them, one file each."""
