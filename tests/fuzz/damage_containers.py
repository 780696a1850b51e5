"""Damage within containers, so that checksums and headers around it stay right."""

import copy
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (the filters of our own files)
import numpy as np

from tests.fuzz.damage import BYTES, Damage, Rng

_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 0.5, 10**12, 10**400, 1e308, float("nan"), float("inf"), "", "x", "nan",
    "[/red]", [], [1], [None, "x"], {}, {"a": 1}, [[1], [2, 3]],
)  # fmt: skip


def hdf5(data: bytes, rng: Rng) -> bytes:
    """Change, remove or replace an object or an attribute of an HDF5 file."""
    with h5py.File(_in_memory(data)) as file:
        names: list[str] = []
        file.visit(names.append)
        if names:
            name = names[rng.integers(len(names))]
            _HDF5[rng.integers(len(_HDF5))](file, name, rng)
        file.flush()
        return bytes(file.id.get_file_image())


def _in_memory(data: bytes) -> h5py.h5f.FileID:
    """Open a file that is not on a disk; as a Python object HDF5 would ask for it byte by byte."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fapl_core(2**16, False)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_file_image(data)
    return h5py.h5f.open(b"damaged", h5py.h5f.ACC_RDWR, access)


def _remove(file: h5py.File, name: str, rng: Rng) -> None:
    del file[name]


def _replace(file: h5py.File, name: str, rng: Rng, values: Any) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update(attributes)


def _other_type(file: h5py.File, name: str, rng: Rng) -> None:
    if not isinstance(file[name], h5py.Dataset):
        return _remove(file, name, rng)
    kinds = ("f4", "f8", "i1", "i8", "u8", "c16", "S3", "?", ">i2")
    try:
        values = np.asarray(file[name][()]).astype(rng.choice(kinds))
    except (TypeError, ValueError):
        values = np.zeros(3)
    return _replace(file, name, rng, values)


def _other_shape(file: h5py.File, name: str, rng: Rng) -> None:
    if not isinstance(file[name], h5py.Dataset) or file[name].dtype.kind == "O":
        return _remove(file, name, rng)
    values = np.asarray(file[name][()])
    shapes: list[Callable[[], Any]] = [
        lambda: values[None], lambda: values[..., None], lambda: values.ravel(),
        lambda: values.ravel()[: rng.integers(values.size + 1)], lambda: values.ravel()[:1],
        lambda: values.ravel()[0], lambda: np.concatenate([values.ravel()] * 2), lambda: values.T,
        lambda: values[..., :-1], lambda: values[:0], lambda: h5py.Empty("f4"), lambda: values[1:],
    ]  # fmt: skip
    try:
        changed = shapes[rng.integers(len(shapes))]()
    except IndexError:
        changed = values
    return _replace(file, name, rng, changed)


def _other_values(file: h5py.File, name: str, rng: Rng) -> None:
    if not isinstance(file[name], h5py.Dataset) or file[name].dtype.kind not in "biuf":
        return _remove(file, name, rng)
    values = np.array(file[name][()])
    if not values.size:
        return None
    odd = rng.choice([np.nan, np.inf, -np.inf, -1, 0, 1, 255, 1e9, 1e18, -1e18, 0.5])
    if values.dtype.kind != "f":
        odd = np.nan_to_num(odd, posinf=2**62, neginf=-(2**62))
    flat = values.reshape(-1)
    chosen = rng.integers(values.size, size=rng.integers(1, 4))
    with np.errstate(all="ignore"):
        new = np.array(odd).astype(values.dtype)
    flat[chosen if rng.random() < 0.7 else slice(None)] = new
    return _replace(file, name, rng, values)


def _huge(file: h5py.File, name: str, rng: Rng) -> None:
    """Declare far more than there is; a chunk may be huge too."""
    if not isinstance(file[name], h5py.Dataset) or not file[name].ndim:
        return _remove(file, name, rng)
    shape, dtype = file[name].shape, file[name].dtype
    length = int(rng.choice([10**6, 10**9, 10**12, 2**40]))
    chunk = (int(rng.choice([64, 2**12, 2**20])), *(max(n, 1) for n in shape[1:]))
    if np.prod(chunk, dtype=float) * dtype.itemsize >= 2**32:
        chunk = (1,) * len(shape)
    attributes = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, (length, *shape[1:]), dtype, chunks=chunk)
    made.attrs.update(attributes)
    return None


def _to_group(file: h5py.File, name: str, rng: Rng) -> None:
    del file[name]
    file.create_group(name)


def _link(file: h5py.File, name: str, rng: Rng) -> None:
    del file[name]
    file[name] = [
        h5py.SoftLink("/nowhere"), h5py.SoftLink("/" + name), h5py.ExternalLink("missing.h5", "/x")
    ][rng.integers(3)]  # fmt: skip


def _virtual(file: h5py.File, name: str, rng: Rng) -> None:
    if not isinstance(file[name], h5py.Dataset) or not file[name].ndim:
        return _remove(file, name, rng)
    shape, dtype = file[name].shape, file[name].dtype
    layout = h5py.VirtualLayout(shape, dtype)
    layout[:] = h5py.VirtualSource("missing.h5", "x", shape, dtype)
    del file[name]
    file.create_virtual_dataset(name, layout)
    return None


def _attribute(file: h5py.File, name: str, rng: Rng) -> None:
    item = file if rng.random() < 0.3 else file[name]
    names = list(item.attrs)
    if not names:
        return _remove(file, name, rng)
    chosen = names[rng.integers(len(names))]
    odd = (
        0, -1, 2**62, np.nan, np.inf, "x", "", "[/red]", b"\xff\xfe", [1, 2, 3], h5py.Empty("f4"),
        np.zeros((2, 2)), "[" * 5000, "x" * 5000, ["a", "b"],
    )  # fmt: skip
    number = int(rng.integers(len(odd) + 2))
    del item.attrs[chosen]
    if number < len(odd):
        item.attrs[chosen] = odd[number]
    return None


_HDF5 = (
    _remove, _other_type, _other_shape, _other_values, _other_values, _other_values, _huge,
    _to_group, _link, _virtual, _attribute, _attribute,
)  # fmt: skip


def inside_gzip(damage: Damage) -> Damage:
    """Return damage to what a gzip file holds."""
    return lambda data, rng: gzip.compress(damage(gzip.decompress(data), rng), 1, mtime=0)


def inside_zip(data: bytes, rng: Rng) -> bytes:
    """Damage, drop, rename or repeat a member of an archive whose checksums stay right."""
    source, buffer = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    members = [(info.filename, source.read(info)) for info in source.infolist()]
    at = int(rng.integers(len(members)))
    name, content = members[at]
    kind = rng.integers(8)
    if kind == 0:
        del members[at]
    elif kind == 1:
        members[at] = (f"{name}x", content)
    elif kind == 2:
        members.append((f"another/{name}", content))
    else:
        members[at] = (name, BYTES[rng.integers(len(BYTES))](content, rng))
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def inside_json(data: bytes, rng: Rng) -> bytes:
    """Change a value, or a key, of one of the JSON objects that stand a line each."""
    lines = data.split(b"\n")
    numbers = [number for number, line in enumerate(lines) if line.strip()]
    number = numbers[rng.integers(len(numbers))]
    found = copy.deepcopy(json.loads(lines[number]))
    places: list[tuple[Any, Any]] = []
    _places(found, places)
    holder, key = places[rng.integers(len(places))] if places else ({}, "a")
    kind = rng.integers(8)
    if kind == 0:
        holder.pop(key, None) if isinstance(holder, dict) else holder.pop(key)
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key, 0)
    else:
        holder[key] = _ODD[rng.integers(len(_ODD))]
    whole = _ODD[rng.integers(len(_ODD))] if rng.random() < 0.02 else found
    lines[number] = json.dumps(whole).encode()
    return b"\n".join(lines)


def _places(value: Any, found: list[tuple[Any, Any]]) -> None:
    """Collect every place in nested lists and objects, as (holder, key)."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        found.append((value, key))
        if isinstance(item, dict | list):
            _places(item, found)
