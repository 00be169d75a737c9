"""The quantized coefficients of a JPEG file, some rows of blocks after others: of a huge file they take gigabytes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from powerqe.utils.codecs.jpeg_coefficients import (
    CoefficientReader,
    Component,
    JPEGCoefficients,
    Plane,
    read_coefficients,
    readable,
)
from powerqe.utils.codecs.jpeg_scan import scan_units
from powerqe.utils.codecs.jpeg_walk import COEFFICIENTS, BlockPlan
from powerqe.utils.image.jpeg_stream import Buffer


class CoefficientBands:
    """The coefficients of a file, of which no more than a band is there at once.

    That goes for files of one scan. Of others (progressive ones) all are, 3 bytes per pixel or 6 without subsampling.

    Args:
        data: its bytes.

    Attributes:
        size: (height, width) of the image as stored. channels: 1 or 3. steps: (8, 8), of the first plane.
        unit: rows of pixels of a row of units.

    Raises:
        UserError: see `read_coefficients`.
    """

    def __init__(self, data: Buffer) -> None:
        self._data, self._name = data, "JPEG data"
        with readable(data, self._name):
            self._scans = _Scans(data)
            planes = [self._scans.plane(each, each.nothing) for each in self._scans.components.values()]
        self.size, self.channels = self._scans.size, len(self._scans.components)
        self.steps = planes[0].steps
        self.unit = 8 * max(component.sampling[0] for component in self._scans.components.values())

    def bands(self, height: int) -> Iterator[JPEGCoefficients]:
        """Those of `height` rows of pixels after another, a multiple of `unit`; the last are of the rest.

        Raises:
            UserError: damaged data.
        """
        count = height // self.unit
        with readable(self._data, self._name):
            planes = self._scans.bands(count) if self._scans.is_simple else self._cut(count)
            for number, each in enumerate(planes):
                rows = min(height, self.size[0] - number * height)
                yield JPEGCoefficients(rows, self.size[1], self._scans.colors, each)

    def _cut(self, count: int) -> Iterator[tuple[Plane, ...]]:
        """Of all of them `count` rows of units."""
        components, planes = self._scans.components.values(), read_coefficients(self._data).planes
        for first in range(0, next(iter(components)).grid[0], count):
            yield tuple(
                plane._replace(levels=plane.levels[first * each.sampling[0] : (first + count) * each.sampling[0]])
                for plane, each in zip(planes, components, strict=True)
            )


class _Scans(CoefficientReader):
    """Finds the scans of a file, and decodes none.

    Attributes:
        is_simple: whether there is one, of whole blocks.
    """

    def __init__(self, data: Buffer) -> None:
        self._found: list[tuple[Buffer, Sequence[BlockPlan], int]] = []
        self._order: list[int] = []
        self.is_simple = True
        super().__init__(data)
        self.is_simple &= len(self._found) == 1 and self._order == list(map(id, self.components.values()))

    def blocks(self, component: Component, *, alone: bool) -> tuple[np.ndarray, np.ndarray]:
        """None are stored."""
        self._order.append(id(component))
        vertical, horizontal = component.sampling
        return component.nothing, np.empty((0, vertical * horizontal), np.int64)

    def decode(
        self, coded: Buffer, plans: Sequence[BlockPlan], spectrum: Any, interval: int, progressive: bool
    ) -> None:  # type: ignore[override]
        """Keep it for later."""
        self._found.append((coded, plans, interval))
        self.is_simple &= not progressive

    def bands(self, count: int) -> Iterator[tuple[Plane, ...]]:
        """The planes of `count` rows of units after another."""
        coded, plans, interval = self._found[0]
        components = list(self.components.values())
        rows, columns = components[0].grid
        waiting = [[np.empty((0, plan.units.shape[1], COEFFICIENTS), np.int16)] for plan in plans]
        for found in scan_units(coded, plans, rows * columns, interval):
            for parts, part in zip(waiting, found, strict=True):
                parts.append(part)
            size = min(count, rows) * columns
            while rows and sum(map(len, waiting[0])) >= size:
                whole = [np.concatenate(parts) for parts in waiting]
                waiting = [[each[size:]] for each in whole]
                rows -= size // columns
                yield tuple(
                    self._plane_of(*each) for each in zip(components, (each[:size] for each in whole), strict=True)
                )
                size = min(count, rows) * columns

    def _plane_of(self, component: Component, units: np.ndarray) -> Plane:
        """Of whole rows of units."""
        vertical, horizontal = component.sampling
        rows = units.reshape(-1, component.grid[1], vertical, horizontal, COEFFICIENTS)
        return self.plane(component, rows.transpose(0, 2, 1, 3, 4).reshape(-1, COEFFICIENTS))
