"""My own method beside X-RAI and EMC: a plain function from patterns to a result.

Here it cheats: it knows the orientations up to an error, as a method would that is right to that
error. What it leaves is what every method leaves, so that the same tools score it.
"""

import sys
import time
from pathlib import Path

import torch

import xraisim

out = Path(sys.argv[1] if len(sys.argv) > 1 else "example")
experiment = {
    "structure": "4v5d", "chains": "B*", "patterns": 1500, "seed": 3,
    "detector": {
        "rows": 64, "columns": 64, "pixel_size_mm": 1.5625, "distance_mm": 400.0,
        "s_max_per_angstrom": 1 / 50,
    },
}  # fmt: skip


def my_method(patterns: xraisim.PatternSource, poses: torch.Tensor, directory: Path) -> None:
    """Merge patterns at ``poses`` and leave a result."""
    began = time.monotonic()
    directory.mkdir(parents=True, exist_ok=True)
    diameter = patterns.info["particle_diameter_angstrom"]
    s_max = float(patterns.pixels.radius[-1])
    sums = xraisim.Accumulator.empty(*xraisim.intensity_grid(s_max, diameter, 3.2))
    photons = patterns.read(0, patterns.n_patterns)
    sums.add(patterns.pixels, photons, poses, torch.ones(len(poses)))
    volume = xraisim.volume_from_sums(sums, diameter, xraisim.ClosedFormConfig())
    # How likely each pattern is where it was put.
    loglik, fluence = xraisim.candidate_loglik(volume, patterns.pixels, photons, poses[:, None])
    seconds = time.monotonic() - began
    xraisim.write_volume(directory / "intensity.h5", volume)
    columns = {"orientations": poses, "loglik": loglik[:, 0], "fluence": fluence[:, 0]}
    xraisim.write_poses(directory / "poses.h5", {k: v.numpy() for k, v in columns.items()})
    xraisim.write_result(
        directory,
        xraisim.Result(
            method="mine",
            patterns=len(poses),
            seconds=seconds,
            patterns_per_s=len(poses) / seconds,
            d_min_angstrom=1 / s_max,
        ),
    )


patterns, truth = xraisim.stream_with_truth(experiment)
true = torch.from_numpy(truth.orientations)
group = xraisim.point_group("C1").float()
volumes = []
for error_deg in (0.0, 5.0):
    turn = torch.deg2rad(torch.tensor(error_deg)) * torch.randn(len(true), 3) / 3**0.5
    poses = xraisim.rotations.multiply(true, xraisim.rotations.from_rotation_vector(turn))
    directory = out / f"mine-{error_deg:g}"
    my_method(patterns, poses, directory)
    found = torch.from_numpy(
        xraisim.read_poses(out / f"mine-{error_deg:g}" / "poses.h5")["orientations"]
    )
    # Orientations are relative to the volume found: bring them to the true particle's frame first.
    frame = xraisim.align_poses(found, true, group)
    off = xraisim.angle_modulo_mate(frame.to_reference_frame(found), true)
    volumes.append(xraisim.read_volume(directory / "intensity.h5"))
    print(f"{error_deg:g}°: poses off by {off.median():.2f}° (median)")

curve = xraisim.intensity_correlation(volumes[1].values, volumes[0].values)
s = xraisim.shell_s(volumes[0].grid, volumes[0].spacing)
measured = float(patterns.pixels.radius[0]), float(patterns.pixels.radius[-1])
agreed = xraisim.first_crossing(curve, s, 0.5, "icc_0.5", measured)
print(f"the two volumes agree by {agreed.rule} to {agreed}")
