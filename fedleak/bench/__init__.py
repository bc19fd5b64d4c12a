"""Speed and memory, measured by ``fedleak bench``; never by timed tests."""
