"""What a server does: aggregate updates, wait for late ones, or learn only their sum."""
