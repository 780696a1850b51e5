"""Other people's reconstruction programs, run on our pattern files."""
