"""What becomes of patterns that are no single hits: selected, or trained on as they come."""
