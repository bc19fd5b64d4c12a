"""What a client does to its update before sharing it, one pure function per file."""
