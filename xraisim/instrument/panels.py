"""Flat panels in space: where their pixels are and what solid angle each covers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32, Int64, Shaped
from numpy.typing import ArrayLike

from xraisim.core.errors import ConfigError
from xraisim.core.settings import Count, Range, Settings

_Coordinate = Annotated[float, Range()]  # mm

_MOST_FRAME_PIXELS = 2**27


@dataclass(frozen=True, kw_only=True)
class Panel(Settings, table="detector.panels[]"):
    """A flat grid of pixels, anywhere and at any angle.

    ``corner_mm`` is the outer corner of pixel (0, 0): x and y in the lab frame, z downstream from
    the plane at the detector's distance. ``fs_mm`` leads from one column to the next (fast scan),
    ``ss_mm`` from one row to the next (slow scan); both x, y, z in mm. Raises :class:`ConfigError`.
    """

    name: str
    rows: Count
    columns: Count
    corner_mm: tuple[_Coordinate, ...]
    fs_mm: tuple[_Coordinate, ...]
    ss_mm: tuple[_Coordinate, ...]

    def check(self) -> None:
        """Refuse what is no vector, and pixels without an area."""
        for key in ("corner_mm", "fs_mm", "ss_mm"):
            vector = getattr(self, key)
            if len(vector) != 3:
                raise ConfigError(
                    f"{key} of panel {self.name!r} is {vector}; expected x, y, z in mm"
                )
        if not np.linalg.norm(self.area_mm2) > 0:
            raise ConfigError(
                f"pixels of panel {self.name!r} have no area: fs {self.fs_mm} and ss {self.ss_mm} "
                "must point in different directions"
            )

    def __len__(self) -> int:
        return self.rows * self.columns

    @property
    def place(self) -> str:
        """The panel, by its name."""
        return f"panel {self.name!r}: "

    @property
    def area_mm2(self) -> Float[np.ndarray, "3"]:
        """Vector area fs × ss of a pixel, mm²: along the panel's normal."""
        return np.cross(self.fs_mm, self.ss_mm)

    def positions_mm(self, distance_mm: float) -> Float64[np.ndarray, "P 3"]:
        """Return the pixel centres in the lab frame, mm, row by row."""
        corner, fs, ss = np.array(self.corner_mm), np.array(self.fs_mm), np.array(self.ss_mm)
        middle = corner + 0.5 * self.columns * fs + 0.5 * self.rows * ss
        # Steps are counted from the middle, so that a centred panel is exactly symmetric.
        column = (np.arange(self.columns) - (self.columns - 1) / 2)[:, None] * fs
        row = (np.arange(self.rows) - (self.rows - 1) / 2)[:, None] * ss
        position = row[:, None] + column + (middle + np.array([0.0, 0.0, distance_mm]))
        return position.reshape(-1, 3)

    def binned(self, factor: int) -> "Panel":
        """Return the panel with ``factor`` × ``factor`` pixels in one.

        Rows and columns left over at the end are dropped. Raises :class:`ConfigError` if nothing
        is left.
        """
        return Panel(
            name=self.name,
            rows=self.rows // factor,
            columns=self.columns // factor,
            corner_mm=self.corner_mm,
            fs_mm=tuple(factor * value for value in self.fs_mm),
            ss_mm=tuple(factor * value for value in self.ss_mm),
        )


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where panels lie in the arrays that data come in, whose flat index is then the pixels'.

    ``origins``: each panel's first pixel along every axis; ``slow`` and ``fast``: the axes along
    which a panel's rows and columns count. Pixels of no panel are not used.
    """

    origins: tuple[tuple[int, ...], ...]
    slow: int
    fast: int

    def shape(self, panels: Sequence[Panel]) -> tuple[int, ...]:
        """Return the shape of the smallest array that holds all panels."""
        ends = np.array(self.origins) + 1
        ends[:, self.slow] += [panel.rows - 1 for panel in panels]
        ends[:, self.fast] += [panel.columns - 1 for panel in panels]
        return tuple(ends.max(0).tolist())

    def indices(self, panels: Sequence[Panel]) -> Int64[np.ndarray, "P"]:
        """Return the flat index of every pixel of one panel after another.

        Raises :class:`ConfigError` if panels overlap.
        """
        shape, parts = self.shape(panels), []
        if math.prod(shape) > _MOST_FRAME_PIXELS:
            raise ConfigError(f"the panels lie in frames of {shape}, more than any detector has")
        for origin, panel in zip(self.origins, panels, strict=True):
            place: list[int | np.ndarray] = list(origin)
            row, column = np.indices((panel.rows, panel.columns))
            place[self.slow], place[self.fast] = row + place[self.slow], column + place[self.fast]
            parts.append(np.ravel_multi_index(np.broadcast_arrays(*place), shape).reshape(-1))
        indices = np.concatenate(parts)
        if len(np.unique(indices)) < len(indices):
            raise ConfigError("panels overlap in the data; they need pixels of their own")
        return indices

    def follows(self, panels: Sequence[Panel]) -> bool:
        """Return whether the panels lie one after another, as without a frame."""
        indices, shape = self.indices(panels), self.shape(panels)
        in_order = np.array_equal(indices, np.arange(math.prod(shape)))
        return in_order and shape[-1] == panels[0].columns

    def binned(self, factor: int) -> "Frame":
        """Return the frame for panels of ``factor`` × ``factor`` pixels in one."""
        origins = np.array(self.origins)
        origins[:, [self.slow, self.fast]] //= factor  # which leaves panels apart
        return Frame(origins=tuple(map(tuple, origins.tolist())), slow=self.slow, fast=self.fast)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The panels of a detector; arrays here run through them one after another.

    ``distance_mm`` is where z of the panels counts from; ``bad`` marks pixels that the
    source of the layout calls bad. ``frame``: where the panels lie in the data, if not one after
    another. ``notices``: what the source of the layout says that is not used, in sentences.
    """

    panels: tuple[Panel, ...]
    distance_mm: float
    bad: Bool[np.ndarray, "P"]
    frame: Frame | None = None
    notices: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the data: of all panels, (1, P) if the panels differ in columns."""
        if self.frame is not None:
            shape = self.frame.shape(self.panels)
            return math.prod(shape[:-1]), shape[-1]
        columns = {panel.columns for panel in self.panels}
        pixels = sum(len(panel) for panel in self.panels)
        return (
            (pixels // columns.pop(), self.panels[0].columns) if len(columns) == 1 else (1, pixels)
        )

    @property
    def panel(self) -> Int32[np.ndarray, "P"]:
        """Panel number of every pixel."""
        lengths = [len(panel) for panel in self.panels]
        return np.repeat(np.arange(len(self.panels), dtype=np.int32), lengths)

    def framed(
        self, values: Shaped[np.ndarray, "P *rest"], empty: ArrayLike
    ) -> Shaped[np.ndarray, "_ *rest"]:
        """Return values in the order of the data, ``empty`` at pixels of no panel."""
        if self.frame is None:
            return values
        pixels = math.prod(self.frame.shape(self.panels))
        framed = np.full((pixels, *values.shape[1:]), empty, values.dtype)
        framed[self.frame.indices(self.panels)] = values
        return framed

    def unframed(self, values: Shaped[np.ndarray, "_ *rest"]) -> Shaped[np.ndarray, "P *rest"]:
        """Return values in the order of the data panel after panel."""
        return values if self.frame is None else values[self.frame.indices(self.panels)]

    def split(self, values: Shaped[np.ndarray, "P *rest"]) -> list[Shaped[np.ndarray, "_ _ *rest"]]:
        """Cut an array into one view [rows, columns, …] per panel."""
        ends = np.cumsum([len(panel) for panel in self.panels])[:-1]
        return [
            part.reshape(panel.rows, panel.columns, *values.shape[1:])
            for panel, part in zip(self.panels, np.split(values, ends), strict=True)
        ]

    def positions_mm(self) -> Float64[np.ndarray, "P 3"]:
        """Return the pixel centres in the lab frame, mm."""
        return np.concatenate([panel.positions_mm(self.distance_mm) for panel in self.panels])

    def solid_angles(self, position_mm: Float64[np.ndarray, "P 3"]) -> Float64[np.ndarray, "P"]:
        """Return the solid angle of every pixel at ``position_mm``, sr."""
        parts = self.split(position_mm)
        return np.concatenate(
            [
                solid_angles(part.reshape(-1, 3), panel.area_mm2)
                for panel, part in zip(self.panels, parts, strict=True)
            ]
        )

    def largest_step(self, s: Float[np.ndarray, "P 3"]) -> float:
        """Return the largest |Δs| between neighbouring pixels of a panel; ``s`` in Å⁻¹."""
        steps = [
            float(np.linalg.norm(np.diff(part, axis=axis), axis=-1).max(initial=0.0))
            for part in self.split(s)
            for axis in (0, 1)
        ]
        return max(steps)

    def bin_mask(self, mask: Bool[np.ndarray, "P"], factor: int) -> Bool[np.ndarray, "binned"]:
        """Return a mask for the binned pixels: set if it is for any pixel that went in."""
        parts = []
        for panel, part in zip(self.panels, self.split(mask), strict=True):
            rows, columns = panel.rows // factor, panel.columns // factor
            whole = part[: rows * factor, : columns * factor]
            parts.append(whole.reshape(rows, factor, columns, factor).any(axis=(1, 3)).reshape(-1))
        return np.concatenate(parts)

    def binned(self, factor: int) -> "Layout":
        """Return the layout with ``factor`` × ``factor`` pixels of each panel in one."""
        return Layout(
            panels=tuple(panel.binned(factor) for panel in self.panels),
            distance_mm=self.distance_mm,
            bad=self.bin_mask(self.bad, factor),
            frame=None if self.frame is None else self.frame.binned(factor),
            notices=self.notices,
        )


def solid_angles(
    position_mm: Float[np.ndarray, "P 3"], area_mm2: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "P"]:
    """Return |A·r|/ρ³ in sr, for small pixels of vector area A (mm²) at r (mm)."""
    rho = np.linalg.norm(position_mm, axis=1)
    return np.abs(position_mm @ area_mm2) / rho**3
