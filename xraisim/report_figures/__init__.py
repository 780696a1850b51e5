"""What the pages about reconstructions show alike: volumes, poses, patterns, and their sections."""
