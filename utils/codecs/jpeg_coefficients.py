"""The quantized DCT coefficients of a JPEG file: what it says itself, before any decoder rounds, clips and converts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from powerqe.utils.codecs.jpeg_scan import decode_scan
from powerqe.utils.codecs.jpeg_tables import (
    DHT,
    DQT,
    DRI,
    END,
    SOS,
    ZIG_ZAG,
    damaged_jpeg,
    is_frame,
    read_definitions,
    read_frame,
    read_scan,
)
from powerqe.utils.codecs.jpeg_walk import COEFFICIENTS, BlockPlan, HuffmanTable, Spectrum
from powerqe.utils.errors import UserError
from powerqe.utils.image.jpeg_stream import Buffer, is_jpeg, jpeg_parts

Colors = Literal["gray", "ycbcr", "rgb"]
_PROGRESSIVE = 0xC2
_APP0, _APP14 = 0xE0, 0xEE
_MOST_BLOCKS = 10
"""Of a unit of several components (B.2.3)."""
_WHOLE = Spectrum(0, COEFFICIENTS - 1, 0, 0)
_ORDER = np.argsort([row * 8 + column for row, column in ZIG_ZAG])


class Plane(NamedTuple):
    """A component of the image.

    Attributes:
        levels: int16 (rows, columns, 8, 8), the quantized coefficients of each block, natural order. Whole units are
            coded, so there may be more blocks than the image needs.
        steps: float32 (8, 8), those by which the coefficients were divided.
        reduction: by how many rows and columns of pixels the plane has one.
    """

    levels: np.ndarray
    steps: np.ndarray
    reduction: tuple[int, int]


@dataclass(frozen=True)
class JPEGCoefficients:
    """Attributes:
    height, width: of the image as stored.
    colors: what the planes are: gray, YCbCr as JFIF defines it, or RGB.
    planes: one or three.
    """

    height: int
    width: int
    colors: Colors
    planes: tuple[Plane, ...]


@dataclass
class Component:
    """Of a frame."""

    sampling: tuple[int, int]
    """Vertical and horizontal."""
    table: int
    grid: tuple[int, int]
    """Rows and columns of units of several components."""
    needed: tuple[int, int]
    """Rows and columns of blocks that the image needs."""
    steps: np.ndarray | None = None

    @property
    def columns(self) -> int:
        """Of blocks, with those that only fill whole units."""
        return self.grid[1] * self.sampling[1]

    @property
    def nothing(self) -> np.ndarray:
        """The coefficients of no block."""
        return np.empty((0, COEFFICIENTS), np.int16)

    @cached_property
    def coefficients(self) -> np.ndarray:
        """Of all blocks, row by row."""
        return np.zeros((self.grid[0] * self.sampling[0] * self.columns, COEFFICIENTS), np.int16)

    @cached_property
    def units(self) -> np.ndarray:
        """The blocks of each unit of several components."""
        (rows, columns), (vertical, horizontal) = self.grid, self.sampling
        blocks = np.arange(len(self.coefficients)).reshape(rows, vertical, columns, horizontal)
        return blocks.transpose(0, 2, 1, 3).reshape(-1, vertical * horizontal)


def read_coefficients(data: Buffer, name: str = "JPEG data") -> JPEGCoefficients:
    """Read the quantized coefficients of a baseline, extended or progressive JPEG file with Huffman codes.

    Args:
        data: its bytes. Only the first image in it counts.
        name: of the file, in messages.

    Raises:
        UserError: no JPEG, damaged, or of a kind that is not supported, see `read_tables`.
    """
    with readable(data, name):
        reader = CoefficientReader(data)
        planes = (reader.plane(each, each.coefficients) for each in reader.components.values())
        return JPEGCoefficients(*reader.size, reader.colors, tuple(planes))


@contextmanager
def readable(data: Buffer, name: str) -> Iterator[None]:
    """Reading a file of this name; errors name it.

    Raises:
        UserError: no JPEG file, or whatever is found to be damaged inside of the `with`.
    """
    if not is_jpeg(data):
        raise UserError(f"{name}: no JPEG file, so it has no coefficients")
    try:
        yield
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    except (IndexError, ValueError):  # segments that are too short
        raise UserError(f"{name}: {damaged_jpeg('a header is cut off')}") from None


class CoefficientReader:
    """Reads the segments of a file one after another.

    Attributes:
        size: (height, width) of the image as stored. components: by their numbers, in the order of the frame.
    """

    def __init__(self, data: Buffer) -> None:
        self._steps: dict[int, np.ndarray] = {}
        self._huffman: dict[int, HuffmanTable] = {}  # 16 x class + number
        self.components: dict[int, Component] = {}
        self.size = (0, 0)
        self._interval = 0
        self._progressive = False
        self._has_jfif, self._transform = False, -1
        code = 0
        for code, content, coded in jpeg_parts(data):
            self._take(code, content, coded)
        if code != END:
            raise UserError("truncated JPEG file; replace it")
        if not self.components or any(each.steps is None for each in self.components.values()):
            raise damaged_jpeg("no frame, or a component without a scan")

    def _take(self, code: int, content: Buffer, coded: Buffer) -> None:
        if code == DQT:
            self._steps.update(read_definitions(content))
        elif code == DHT:
            self._huffman.update(_huffman_tables(content))
        elif code == DRI:
            self._interval = int.from_bytes(content[:2], "big")
        elif is_frame(code):
            self._take_frame(code, content)
        elif code == SOS:
            self._take_scan(content, coded)
        elif code == _APP0:
            self._has_jfif |= bytes(content[:5]) == b"JFIF\0"
        elif code == _APP14 and bytes(content[:5]) == b"Adobe" and len(content) >= 12:
            self._transform = content[11]

    def _take_frame(self, code: int, content: Buffer) -> None:
        tables = read_frame(code, content)
        if self.components:
            raise damaged_jpeg("two frames")
        self._progressive = code == _PROGRESSIVE
        height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
        samplings = [(each & 15, each >> 4) for each in content[7 : 7 + 3 * len(tables) : 3]]
        if not height or not width or not all(1 <= factor <= 4 for sampling in samplings for factor in sampling):
            raise damaged_jpeg("an impossible size or sampling")
        if len(tables) == 1:
            samplings = [(1, 1)]  # whatever it says (A.2.2)
        elif sum(vertical * horizontal for vertical, horizontal in samplings) > _MOST_BLOCKS:
            raise damaged_jpeg("an impossible sampling")
        self.size, largest = (height, width), tuple(np.max(samplings, axis=0).tolist())
        for (number, table), sampling in zip(tables.items(), samplings, strict=True):
            self.components[number] = _component(self.size, largest, sampling, table)

    def _take_scan(self, content: Buffer, coded: Buffer) -> None:
        numbers = read_scan(content)
        if len(set(numbers)) < len(numbers) or not set(numbers) <= set(self.components):
            raise damaged_jpeg("a scan of unknown components")
        end = 1 + 2 * len(numbers)
        spectrum = Spectrum(content[end], content[end + 1], *divmod(content[end + 2], 16))
        if not self._progressive:
            spectrum = _WHOLE
        elif not (spectrum.first <= spectrum.last < COEFFICIENTS and (not spectrum.first or len(numbers) == 1)):
            raise damaged_jpeg("an impossible scan")
        plans = []
        for place, number in enumerate(numbers):
            component, selector = self.components[number], content[2 + 2 * place]
            if component.steps is None:
                component.steps = self._steps.get(component.table)
            dc, ac = self._huffman.get(selector >> 4), self._huffman.get(16 + (selector & 15))
            plans.append(BlockPlan(*self.blocks(component, alone=len(numbers) == 1), dc, ac))
        self.decode(coded, plans, spectrum, self._interval, self._progressive)

    def blocks(self, component: Component, *, alone: bool) -> tuple[np.ndarray, np.ndarray]:
        """Where a scan of the component, alone or with others, stores coefficients, and its units."""
        return component.coefficients, _alone(component) if alone else component.units

    decode = staticmethod(decode_scan)

    @property
    def colors(self) -> Colors:
        """As libjpeg decides it."""
        if len(self.components) == 1:
            return "gray"
        if self._has_jfif:
            return "ycbcr"
        if self._transform >= 0:
            return "ycbcr" if self._transform else "rgb"
        return "rgb" if bytes(self.components) == b"RGB" else "ycbcr"

    def plane(self, component: Component, coefficients: np.ndarray) -> Plane:
        """Of a component, from the coefficients of some rows of its blocks, in the order of the file's zigzag."""
        assert component.steps is not None
        if not component.steps.all():
            raise damaged_jpeg("a quantization step of 0")
        levels = coefficients[:, _ORDER].reshape(-1, component.columns, 8, 8)
        largest = np.max([each.sampling for each in self.components.values()], axis=0)
        down, across = (int(most) // own for most, own in zip(largest, component.sampling, strict=True))
        if (down * component.sampling[0], across * component.sampling[1]) != tuple(largest):
            raise UserError("found a chroma sampling that is no whole fraction of the luma's")
        return Plane(levels, component.steps.astype(np.float32), (down, across))


def _component(size: tuple[int, int], largest: tuple[int, ...], sampling: tuple[int, int], table: int) -> Component:
    units = [-(-side // (8 * most)) for side, most in zip(size, largest, strict=True)]
    needed = [-(-side * own // (8 * most)) for side, own, most in zip(size, sampling, largest, strict=True)]
    return Component(sampling, table, (units[0], units[1]), (needed[0], needed[1]))


def _alone(component: Component) -> np.ndarray:
    """The units of a scan of this component alone: its blocks, row by row, no more than the image needs (A.2.2)."""
    rows, columns = component.needed
    return (np.arange(rows)[:, None] * component.columns + np.arange(columns)).reshape(-1, 1)


def _huffman_tables(content: Buffer) -> dict[int, HuffmanTable]:
    """The tables of a DHT segment (B.2.4.2)."""
    found, position = {}, 0
    while position < len(content):
        counts = list(content[position + 1 : position + 17])
        end = position + 17 + sum(counts)
        if len(counts) < 16 or end > len(content):
            raise damaged_jpeg("a Huffman table is cut off")
        found[content[position]] = HuffmanTable(counts, list(content[position + 17 : end]))
        position = end
    return found
