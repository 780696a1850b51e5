"""My own instrument: a detector and a beam, and what to expect of them before any beamtime.

The patterns are drawn in memory, with what they are made of beside them.
"""

import numpy as np

import xraisim

experiment = {
    "structure": "4v5d",
    "chains": "B*",
    "patterns": 500,
    "beam": {"photon_energy_ev": 3000.0, "photons_per_pulse": 2e12, "focus_radius_um": 0.25},
    "detector": {
        "rows": 64, "columns": 64, "pixel_size_mm": 0.8, "distance_mm": 300.0,
        "beamstop_radius_mm": 1.5,
    },
    "hits": {"blank_fraction": 0.1},
    "background": {"photons_per_pixel": 0.01},
}  # fmt: skip

patterns, truth = xraisim.stream_with_truth(experiment)
photons = patterns.read(0, patterns.n_patterns)
totals, hit = photons.totals(), truth.hits == 1
print(f"{len(patterns.pixels):,} usable pixels, to {1 / float(patterns.pixels.radius[-1]):.1f} Å")
print(f"{totals[hit].mean():,.0f} photons per hit, {totals[~hit].mean():,.0f} per blank")

# Fluence varies from shot to shot, and so does the light.
correlation = np.corrcoef(truth.fluence[hit], totals[hit])[0, 1]
print(f"photons follow the fluence: correlation {correlation:.2f}")
