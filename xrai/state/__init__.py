"""What a run holds and says: its state, the file of it, and the log."""
