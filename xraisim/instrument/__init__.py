"""Beam, detector, background and read-out: what the experiment adds to the particle."""
