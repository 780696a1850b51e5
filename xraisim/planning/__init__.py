"""Is an experiment worth its beam time? Photons, sampling, orientations, patterns needed."""
