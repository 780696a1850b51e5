"""X-RAI: online, amortised reconstruction of single-particle X-ray diffraction."""
