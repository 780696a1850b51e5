import h5py
import mrcfile
import numpy as np
import pytest
import torch

from xraisim.core.errors import FormatError
from xraisim.core.types import Volume
from xraisim.files.volumes import read_attributes, read_exposure, read_volume, write_volume


def _volume(kind="intensity"):
    values = torch.randn(9, 9, 9, generator=torch.Generator().manual_seed(1))
    return Volume(values=values, spacing=0.25, kind=kind)


@pytest.mark.parametrize("kind", ["intensity", "density"])
@pytest.mark.parametrize("name", ["volume.h5", "volume.mrc"])
def test_a_volume_comes_back_as_it_was_written(tmp_path, name, kind):
    volume = _volume(kind)
    write_volume(tmp_path / name, volume)
    back = read_volume(tmp_path / name)
    torch.testing.assert_close(back.values, volume.values, atol=0, rtol=0)
    assert back.spacing == pytest.approx(volume.spacing)
    assert back.kind == kind
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_hdf5_carries_units_and_given_attributes(tmp_path):
    write_volume(tmp_path / "v.h5", _volume(), {"s_min_per_angstrom": 0.004})
    attributes = read_attributes(tmp_path / "v.h5")
    assert attributes["spacing_units"] == "1/angstrom"
    assert attributes["s_min_per_angstrom"] == 0.004


def test_hdf5_carries_the_exposure_if_there_is_one(tmp_path):
    exposure = torch.rand(9, 9, 9, generator=torch.Generator().manual_seed(2))
    write_volume(tmp_path / "v.h5", _volume(), exposure=exposure)
    write_volume(tmp_path / "w.h5", _volume())
    assert read_exposure(tmp_path / "v.h5").equal(exposure)
    assert read_exposure(tmp_path / "w.h5") is None


def test_mrc_header_follows_the_axis_order_and_origin(tmp_path):
    volume = _volume("density")
    write_volume(tmp_path / "v.mrc", volume)
    with mrcfile.open(tmp_path / "v.mrc") as file:
        assert file.data[2, 3, 4] == volume.values[4, 3, 2]
        assert float(file.header.origin.x) == pytest.approx(-4 * 0.25)
    assert mrcfile.validate(tmp_path / "v.mrc")


@pytest.mark.parametrize("name", ["volume.h5", "volume.mrc"])
def test_nan_is_refused_and_the_old_file_survives(tmp_path, name):
    write_volume(tmp_path / name, _volume())
    bad = _volume()
    bad.values[1, 1, 1] = float("nan")
    with pytest.raises(FormatError, match="1 values that are not finite"):
        write_volume(tmp_path / name, bad)
    torch.testing.assert_close(read_volume(tmp_path / name).values, _volume().values)
    assert len(list(tmp_path.iterdir())) == 1


def test_nan_in_a_file_is_refused_on_reading(tmp_path):
    path = tmp_path / "v.mrc"
    values = np.zeros((5, 5, 5), np.float32)
    values[0, 0, 0] = np.nan
    with mrcfile.new(path) as file:
        with pytest.warns(RuntimeWarning, match="NaN"):
            file.set_data(values)
        file.voxel_size = 1.0
    with pytest.raises(FormatError, match="not finite"):
        read_volume(path, kind="density")


@pytest.mark.parametrize("name", ["volume.h5", "volume.mrc"])
def test_truncated_wrong_and_missing_files_are_reported(tmp_path, name):
    path = tmp_path / name
    write_volume(path, _volume())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=name):
        read_volume(path)
    path.write_text("not a volume")
    with pytest.raises(FormatError, match=name):
        read_volume(path)
    with pytest.raises(FileNotFoundError):
        read_volume(tmp_path / f"missing-{name}")


def test_hdf5_of_another_format_and_cubes_of_even_size_are_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["volume"] = np.zeros((3, 3, 3))
    with pytest.raises(FormatError, match="expected 'x-rai volume 1'"):
        read_volume(tmp_path / "other.h5")
    even = Volume(values=torch.zeros(4, 4, 4), spacing=1.0, kind="density")
    with pytest.raises(FormatError, match="odd"):
        write_volume(tmp_path / "even.h5", even)
