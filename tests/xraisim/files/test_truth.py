import json

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.files.truth import read_truth, truth_path, write_truth
from xraisim.instrument.beam import Beam
from xraisim.photons.hits import BLANK, MULTIPLE, SINGLE, Hits
from xraisim.photons.shots import ShotRecipe, draw_shots


def test_truth_makes_the_round_trip(tmp_path):
    """Of shots with blanks and several particles, in blocks and in shards."""
    recipe = ShotRecipe(
        beam=Beam(spectral_lines=3, bandwidth=0.01),
        hits=Hits(blank_fraction=0.3, multiple_fraction=0.3),
        species_weights=(1.0, 2.0),
    )
    about = {"seed": 2**127, "draw_version": 3, "species": ("a", "b"), "config": "x = 1\n"}
    about["structures_sha256"] = {"a": "0"}
    defect = np.array([0, 1, 0], np.uint8)

    def blocks(first, stop):
        return [draw_shots(recipe, 7, i, min(20, stop - i)) for i in range(first, stop, 20)]

    path = truth_path(tmp_path / "patterns.h5")
    assert path.name == "patterns.truth.h5"
    write_truth(path, blocks(0, 90), about, defect)
    whole = draw_shots(recipe, 7, 0, 90)
    for k, (first, stop) in enumerate([(0, 30), (30, 60), (60, 90)], 1):
        name = truth_path(tmp_path / f"parts.shard-{k}-of-3.h5")
        write_truth(name, blocks(first, stop), about, defect)
    for found in (read_truth(path), read_truth(truth_path(tmp_path / "parts.h5"))):
        assert (found.hits == whole.hit).all()
        assert set(found.hits) == {BLANK, SINGLE, MULTIPLE}
        for name in ("fluence", "strength", "energy"):
            assert (getattr(found, name) == getattr(whole, name)).all()
        for name in ("offsets", "model", "orientation", "fluence", "size"):
            assert (getattr(found.particles, name) == getattr(whole.particles(), name)).all()
        assert (found.seed, found.draw_version) == (2**127, 3)
        assert (found.species, found.config) == (("a", "b"), "x = 1\n")
        assert (found.defect == defect).all()
        np.testing.assert_array_equal(found.orientations[found.hits == BLANK][0], [1, 0, 0, 0])
        first = whole.orientation[whole.offsets[:-1][whole.hit != BLANK]]
        assert (found.orientations[found.hits != BLANK] == first).all()
    with pytest.raises(FormatError, match="no such truth file"):
        read_truth(tmp_path / "absent.h5")


def _replaced(name, values):
    def change(file):
        del file[name]
        file[name] = values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_replaced("particles/offsets", np.array([0, 1])), "expected"),
        (_replaced("particles/offsets", np.array([0, 2, 1, 3])), "do not rise from 0"),
        (_replaced("particles/offsets", np.array([[0, 1]])), "no row of whole numbers"),
        (_replaced("particles/orientation", np.ones((3, 3), np.float32)), r"expected \(3, 4\)"),
        (_replaced("shots/fluence", np.ones(4, np.float32)), r"expected \(3,\)"),
        (_replaced("shots/fluence", np.full(3, np.nan, np.float32)), "no finite numbers"),
        (_replaced("shots/hit", np.ones(3)), "no finite numbers of type uint8"),
        (_replaced("detector/defect", np.ones((1, 3))), "no states of pixels"),
        (lambda file: file.attrs.modify("species", json.dumps("a")), "expected a list"),
    ],
)
def test_what_does_not_belong_together_is_refused(change, message, tmp_path):
    about = {"seed": 7, "species": ("a",), "structures_sha256": {"a": "0"}, "config": "x = 1\n"}
    path = tmp_path / "a.truth.h5"
    shots = draw_shots(ShotRecipe(beam=Beam()), 7, 0, 3)
    write_truth(path, [shots], about, np.zeros(3, np.uint8))
    found = read_truth(path)
    assert (len(found.orientations), found.draw_version) == (3, 1), "which it did not state"
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(FormatError, match=message):
        read_truth(path)
