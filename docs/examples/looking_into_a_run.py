"""Looking into a run: what it says of itself, its poses, its volume, and one pattern's likelihood.

Give the directory of a run and its pattern file, or nothing: then a small one is made first.
"""

import sys
from pathlib import Path

import numpy as np
import torch

import xrai
import xraisim

if len(sys.argv) > 2:
    run, source = Path(sys.argv[1]), Path(sys.argv[2])
else:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "example")
    run, source = out / "run", out / "patterns.h5"
    experiment = {
        "structure": "4v5d", "chains": "B*", "patterns": 400, "seed": 2,
        "detector": {
            "rows": 64, "columns": 64, "pixel_size_mm": 1.5625, "distance_mm": 400.0,
            "s_max_per_angstrom": 1 / 80,
        },
    }  # fmt: skip
    xraisim.simulate(experiment, source)
    xrai.reconstruct(source, run, xrai.TrainConfig(), quiet=True)

result = xraisim.read_result(run)
assert result is not None, "it has not ended"
for name, value in result.rows().items():
    print(f"{name:35s} {value}")

poses = xraisim.read_poses(run / "poses.h5")
posed = np.isfinite(poses["orientations"]).all(1)
error_deg = np.median(poses["error_deg"][posed])
print(f"{posed.sum():,} of {len(posed):,} patterns have a pose, ±{error_deg:.1f}°")

volume = xraisim.read_volume(run / "intensity.h5")
mean = float(volume.values.mean())
print(f"{volume.grid}³ voxels of {volume.spacing:.2e} Å⁻¹, {mean:.3g} electrons² on average")

# The least certain pattern: how much likelier is its pose than the near-symmetric one, and than a
# turn by ten degrees?
with xraisim.PatternReader(source) as patterns:
    number = int(np.nanargmax(np.where(posed, poses["error_deg"], np.nan)))
    pixels = patterns.pixels.first(
        patterns.pixels.count_below((volume.grid // 2 - 1) * volume.spacing)
    )
    photons = patterns.read(number, number + 1)
    pose = torch.from_numpy(poses["orientations"][number : number + 1])
    turn = xraisim.rotations.from_rotation_vector(torch.deg2rad(torch.tensor([[10.0, 0.0, 0.0]])))
    others = xraisim.in_plane_mate(pose), xraisim.rotations.multiply(pose, turn)
    candidates = torch.stack([pose, *others], 1)
    loglik, _ = xraisim.candidate_loglik(volume, pixels, photons, candidates)
held, mate, other = loglik[0].tolist()
print(f"pattern {number}: {held - mate:.1f} nats over its mate, {held - other:.1f} over 10° off")
