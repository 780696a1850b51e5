"""Patterns by skopi, for the comparison: run by the Python of an environment that has it.

``python skopi_driver.py SETTING.json PATTERNS``, where the setting names the detector, the beam, a
``.npy`` file of complex F on skopi's own mesh, and the files to write. The amplitudes are handed in
because skopi computes them with CUDA only; everything after that is its NumPy path. It has no
pattern file of its own, so the photons go into a dense uint16 dataset.
"""

import json
import sys
from typing import Any

import h5py
import numpy as np
import skopi  # type: ignore[import-not-found]


class GivenVolume(skopi.SPIExperiment):  # type: ignore[misc]
    """An experiment whose amplitudes are given instead of computed."""

    def __init__(self, detector: Any, beam: Any, volume: np.ndarray) -> None:
        detector.initialize_pixels_with_beam(beam=beam)
        self.det, self.beam, self.volumes = detector, beam, [volume]
        self.voxel_length = 2 * float(np.max(detector.pixel_distance_reciprocal))
        self.voxel_length /= len(volume) - 1
        self.particles, self.n_particle_kinds, self.n_part_per_shot = [None], 1, 1
        self.jet_radius = self._orientations = self._positions = None
        self.beam_displacements: list[Any] = []
        self.fluences: list[Any] = []


def main(setting_file: str, patterns: int) -> None:
    """Make the patterns and print their mean number of photons in the kept pixels."""
    with open(setting_file, encoding="utf-8") as file:
        setting = json.load(file)
    detector = skopi.SimpleSquareDetector(
        setting["pixels"], setting["side_m"], setting["distance_m"]
    )
    beam = skopi.Beam(
        photon_energy=setting["photon_energy_ev"],
        fluence=setting["photons_per_pulse"],
        focus_radius=setting["focus_radius_m"],
    )
    kept = np.load(setting["kept"])
    experiment, photons = GivenVolume(detector, beam, np.load(setting["volume"])), 0
    with h5py.File(setting["out"], "w") as out:
        dataset = out.create_dataset("photons", (patterns, *kept.shape), np.uint16)
        for index in range(patterns):
            counts = experiment.generate_image_stack()[0] * kept
            dataset[index] = counts
            photons += int(counts.sum())
    print(json.dumps({"photons_per_pattern": photons / patterns}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
