"""From a PDB id to a density: simulate, reconstruct, phase, and see how far it can be trusted.

The 50S ribosomal subunit at low resolution, so that it takes a minute on two cores.
"""

import sys
from pathlib import Path

import baselines
import xrai
import xraisim

out = Path(sys.argv[1] if len(sys.argv) > 1 else "example")

# 1. Patterns: photons in absolute numbers, and the truth in a file apart from them.
made = xraisim.simulate(
    {
        "structure": "4v5d",
        "chains": "B*",
        "patterns": 1000,
        "seed": 1,
        "detector": {
            "rows": 64, "columns": 64, "pixel_size_mm": 1.5625, "distance_mm": 400.0,
            "s_max_per_angstrom": 1 / 60,
        },
    },
    out / "patterns.h5",
)  # fmt: skip
print(f"{made.patterns:,} patterns of {made.photons_per_pattern:,.0f} photons")

# 2. Orientations and the intensity, without any truth.
settings = xrai.TrainConfig(seed=0)
result = xrai.reconstruct(out / "patterns.h5", out / "run", settings, quiet=True)
print(f"{result.resolution}, by the half-sets, in {result.seconds:.0f} s")
for warning in result.warnings:
    print("warning:", warning)

# 3. The density whose amplitudes these are.
intensity = xraisim.read_volume(out / "run" / "intensity.h5")
with xraisim.PatternReader(out / "patterns.h5") as patterns:
    settings = baselines.PhasingConfig(
        starts=4,
        refined=2,
        diameter_angstrom=patterns.info["particle_diameter_angstrom"],
        s_min_per_angstrom=float(patterns.pixels.radius[0]),
        s_max_per_angstrom=float(patterns.pixels.radius[-1]),
    )
phased = baselines.phase(intensity, settings)
xraisim.write_volume(out / "density.mrc", phased.density)
print(f"{phased.resolution.rule} {phased.resolution}; density in {out / 'density.mrc'}")
