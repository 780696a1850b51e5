"""What each pulse meets, and the photons that it leaves: the Poisson draw."""
