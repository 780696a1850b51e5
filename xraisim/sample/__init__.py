"""What is in the beam: structures, bodies, water; where structure files come from."""
