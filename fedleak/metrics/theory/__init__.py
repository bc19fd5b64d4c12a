"""What theorems say about an update: images computed from the truth, to be set beside what attacks make of it."""
