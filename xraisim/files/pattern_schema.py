"""Names, version and units of the pattern file: one page for writer, reader and validator."""

FORMAT = "x-rai patterns"
VERSION = 2
READ_VERSIONS = (1, 2)  # version 1 kept recipe and seed, now in the truth file
LARGEST_COUNT = 255  # of a uint8; a larger count is stored as repeated entries of its pixel

OFFSETS, PIXEL, COUNT = "photons/offsets", "photons/pixel", "photons/count"

UNITS = {
    OFFSETS: "entries",
    PIXEL: "flat detector index",
    COUNT: "photons",
    "detector/position": "mm",
    "detector/s": "1/angstrom",
    "detector/solid_angle": "sr",
    "detector/polarisation": "1",
    "detector/gain": "photons/electron^2",
    "detector/background": "photons",
    "detector/panel": "number of the panel",
    "detector/mask": "0 where used; reasons why not, added up: 1 beamstop, 2 outside the kept "
    "range, 4 mask file, 8 defect, 16 bad region, 32 saturated",
    "beam/photon_energy": "eV",
    "beam/wavelength": "angstrom",
    "beam/fluence": "photons/um^2",
    "particle/diameter": "angstrom",
}

#: keys of ``PatternReader.info`` and the scalar datasets they come from
SCALARS = {
    "photon_energy_ev": "beam/photon_energy",
    "wavelength_angstrom": "beam/wavelength",
    "fluence_photons_per_um2": "beam/fluence",
    "particle_diameter_angstrom": "particle/diameter",
}

#: entries of the provenance that are tables, stored as JSON
TABLES = ("versions", "structures_sha256")
