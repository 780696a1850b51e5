import h5py
import numpy as np
import pytest

from tests.fuzz import samples
from tests.xraisim.files.conftest import as_dicts, as_photons, writer
from xraisim.core.errors import FormatError
from xraisim.files.patterns import PatternReader
from xraisim.files.rescue import rescue
from xraisim.files.texts import attribute, attributes, describe, fixed
from xraisim.files.truth import read_truth
from xraisim.files.volumes import read_attributes, read_volume

HEAP = b"GCOL"  # how a global heap begins (HDF5 File Format Specification 3.0, III.E)


@pytest.fixture
def written(tmp_path):
    """One file of every kind."""
    samples.write_all(tmp_path)
    return tmp_path


def _of_variable_length(path):
    """Store the texts of a file as HDF5 does by default."""

    def change(_, item):
        item.attrs.update(attributes(item))

    with h5py.File(path, "r+") as file:
        change("/", file)
        file.visititems(change)
    assert HEAP in path.read_bytes()


@pytest.mark.parametrize("text", ["", "photons", "é and 測", "x" * 200_000, "a\nb\t"])
def test_any_text_makes_the_round_trip(text, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="v110") as file:
        describe(file, {"one": text, "several": [text, "b", ""], "number": 3, "row": (1, 2)})
        file["texts"] = fixed([text, "b"])
    assert HEAP not in (tmp_path / "a.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        assert attribute(file, "one") == text
        assert attribute(file, "several") == [text, "b", ""]
        assert attribute(file, "number") == 3
        assert attribute(file, "row").tolist() == [1, 2]
        assert attribute(file, "absent", "m") == "m"
        assert file["texts"].asstr()[()].tolist() == [text, "b"]


def test_what_is_no_text_can_be_printed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["format"] = np.bytes_(b"x-rai\xff")
        assert attribute(file, "format") == "x-rai\ufffd"


def test_no_file_holds_a_global_heap(written):
    """But Dragonfly's, whose rows of photons are of variable length."""
    files = [path for path in written.rglob("*") if path.is_file() and h5py.is_hdf5(path)]
    assert len(files) > 12
    assert {path.name for path in files if HEAP in path.read_bytes()} == {"dragonfly.h5"}


def test_a_long_recipe_fits(tmp_path):
    """Attributes beyond 64 kB, where a file of an older HDF5 would not hold them."""
    known = {"seed": 0, "species": ["x"], "structures_sha256": {}, "salt": "s"}
    known["config"] = "# \n" * 100_000
    samples.write_truth(tmp_path / "t.truth.h5", [], known, np.zeros(3, np.uint8))
    assert read_truth(tmp_path / "t.truth.h5").config == known["config"]
    recipe = {"config": known["config"], "versions": {"x-rai": "0"}}
    with writer(tmp_path / "patterns.h5", recipe) as file:
        file.append(as_photons([{1: 1}]))
    with PatternReader(tmp_path / "patterns.h5") as reader:
        assert reader.info["provenance"] == recipe


def test_a_provenance_of_arrays_is_refused(written):
    with h5py.File(written / "patterns.h5", "a") as file:
        file["provenance"].attrs["config"] = [1, 2, 3]
    with pytest.raises(FormatError, match="provenance config is an array; expected one value"):
        PatternReader(written / "patterns.h5")


def test_files_with_texts_of_variable_length_are_read_the_same(written):
    patterns, truth, volume = (written / n for n in ("patterns.h5", "t.truth.h5", "volume.h5"))

    def read():
        with PatternReader(patterns) as reader:
            photons = as_dicts(reader.read_raw(0, reader.n_patterns))
            return reader.info, photons, read_truth(truth).config, read_attributes(volume)

    expected, values = read(), read_volume(volume).values
    for path in (patterns, truth, volume):
        _of_variable_length(path)
    assert read() == expected
    assert read_volume(volume).values.equal(values)


def test_what_is_rescued_from_such_a_file_has_texts_of_a_fixed_length(written):
    patterns = written / "patterns.h5"
    _of_variable_length(patterns)
    rescue(patterns, written / "rescued.h5")
    assert HEAP not in (written / "rescued.h5").read_bytes()
    with PatternReader(patterns) as one, PatternReader(written / "rescued.h5") as other:
        provenance = {**one.info["provenance"], "rescued_from": "patterns.h5"}
        assert other.info == {**one.info, "provenance": provenance}
    with h5py.File(written / "rescued.h5") as file:
        assert attribute(file["detector/s"], "units") == "1/angstrom"
