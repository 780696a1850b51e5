"""My own data: frames of photon counts become a pattern file, and are looked at.

What a stack of frames does not know of its experiment, its beam, detector and the particle's size,
is said beside it.
"""

import sys
from pathlib import Path

import numpy as np

import xraisim

out = Path(sys.argv[1] if len(sys.argv) > 1 else "example")
out.mkdir(parents=True, exist_ok=True)

# Frames as a detector's pipeline may leave them: photons per pixel, [N, rows, columns].
frames = np.random.default_rng(0).poisson(0.02, (200, 64, 64)).astype(np.int32)
np.save(out / "frames.npy", frames)

done = xraisim.convert(
    out / "frames.npy",
    out / "patterns.h5",
    config=xraisim.ExperimentConfig(
        particle_diameter_angstrom=250.0,
        beam={"photon_energy_ev": 1700.0, "photons_per_pulse": 1e12},
        detector={"pixel_size_mm": 1.5, "distance_mm": 600.0},
    ),
)
print(f"{done.patterns:,} patterns, {done.photons:,} photons")

with xraisim.PatternReader(out / "patterns.h5") as patterns:
    images = patterns.images(0, 5)  # [5, rows, columns], photons
    assert (images == frames[:5]).all()
    photons = patterns.read(0, patterns.n_patterns)  # sparse, in the usable pixels by |s|
    print(f"{photons.totals().mean():.1f} photons per pattern in {len(patterns.pixels):,} pixels")
    print(f"out to {1 / float(patterns.pixels.radius[-1]):.1f} Å")
