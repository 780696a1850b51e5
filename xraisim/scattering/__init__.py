"""From a particle to the intensity that it scatters, |F(s)|²."""
