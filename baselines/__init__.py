"""Classical algorithms: expand-maximize-compress (EMC) and phase retrieval."""
