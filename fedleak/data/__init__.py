"""Images: where they come from, how they are dealt to clients, how clients' images differ from public ones."""
