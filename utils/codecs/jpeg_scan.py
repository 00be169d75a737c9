"""The Huffman-coded scans of a JPEG file: bits to quantized DCT coefficients (ITU-T T.81, annexes F and G).

No library with wheels for all platforms gives coefficients. See utils/codecs/jpeg_walk.py for how this is quick.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from powerqe.utils.codecs.jpeg_progressive import read_bands, refine_bands, refine_means
from powerqe.utils.codecs.jpeg_tables import damaged_jpeg
from powerqe.utils.codecs.jpeg_walk import (
    COEFFICIENTS,
    BlockPlan,
    Progress,
    ScanData,
    Spectrum,
    looked_up,
    needed,
    quick,
    store_others,
    values_at,
)
from powerqe.utils.image.jpeg_stream import Buffer


def decode_scan(data: Buffer, plans: Sequence[BlockPlan], spectrum: Spectrum, interval: int, progressive: bool) -> None:
    """Read a scan into the coefficients of its components.

    Args:
        data: behind the scan header, to the next marker that is no restart.
        plans: the components, in the order of the scan header.
        spectrum: 0 to 63 and no bits known, unless the file is progressive.
        interval: units between restart markers; 0: there are none.

    Raises:
        UserError: damaged data.
    """
    progress = Progress(ScanData(data), len(plans[0].units), interval)
    try:
        if spectrum.first == 0 and spectrum.high:
            refine_means(progress, plans, spectrum.low)
        elif spectrum.high:
            refine_bands(progress, plans[0], spectrum)
        elif spectrum.first:
            read_bands(progress, plans[0], spectrum)
        else:
            _read_blocks(progress, plans, spectrum, progressive)
    except IndexError:
        raise damaged_jpeg("a scan is cut off") from None


def _read_blocks(progress: Progress, plans: Sequence[BlockPlan], spectrum: Spectrum, progressive: bool) -> None:
    """Whole blocks (F.2.2), or their means alone in a progressive file (G.1.2.1)."""
    for chunk in _chunks(progress, plans, 0 if progressive else spectrum.last):
        blocks = np.concatenate([plan.units[chunk.first : chunk.end] for plan in plans], axis=1).ravel()
        _store_blocks(plans, chunk, blocks, spectrum.low)
    for plan in plans:
        blocks = plan.units.ravel()
        differences = plan.coefficients[blocks, 0].astype(np.int64)
        plan.coefficients[blocks, 0] = _sums(differences, progress.restarts, plan.units.shape[1], 0, 0) << spectrum.low


def scan_units(data: Buffer, plans: Sequence[BlockPlan], count: int, interval: int) -> Iterator[list[np.ndarray]]:
    """The coefficients of a scan of whole blocks, some units after others.

    Args:
        data, interval: see `decode_scan`. plans: without their coefficients. count: of units.

    Yields:
        Of each component, int16 (units, blocks of it per unit, 64) in the order of the file's zigzag.

    Raises:
        UserError: damaged data.
    """
    progress = Progress(ScanData(data), count, interval)
    before = [0] * len(plans)
    try:
        for chunk in _chunks(progress, plans, COEFFICIENTS - 1):
            sizes = [(chunk.end - chunk.first, plan.units.shape[1]) for plan in plans]
            blocks = np.concatenate([np.arange(each[0] * each[1]).reshape(each) for each in sizes], axis=1).ravel()
            found = [np.zeros((number * each, COEFFICIENTS), np.int16) for number, each in sizes]
            own = [plan._replace(coefficients=each) for plan, each in zip(plans, found, strict=True)]
            _store_blocks(own, chunk, blocks, 0)
            for number, (each, size) in enumerate(zip(found, sizes, strict=True)):
                differences = each[:, 0].astype(np.int64)
                means = _sums(differences, progress.restarts, size[1], chunk.first, before[number])
                each[:, 0], before[number] = means, int(means[-1])
            yield [each.reshape(*size, COEFFICIENTS) for each, size in zip(found, sizes, strict=True)]
    except IndexError:
        raise damaged_jpeg("a scan is cut off") from None


class _Chunk(NamedTuple):
    """The units first ... end - 1 of a scan, as they were walked.

    windows: see `ScanData.windows`. symbols: the position of each code. ends: number of codes up to the end of each
    block. order: the component of each block of a unit.
    """

    first: int
    end: int
    windows: np.ndarray
    symbols: np.ndarray
    ends: np.ndarray
    order: Sequence[int]


def _chunks(progress: Progress, plans: Sequence[BlockPlan], last: int) -> Iterator[_Chunk]:
    """Walk from code to code, up to coefficient `last` of each block."""
    dc_steps = [needed(plan.dc).dc_steps() for plan in plans]
    ac_steps = [needed(plan.ac).ac_steps(progressive=False) for plan in plans] if last else dc_steps
    order = [number for number, plan in enumerate(plans) for _ in range(plan.units.shape[1])]
    for windows in progress.chunks():
        dc, ac = ([quick(table[windows]) for table in steps] for steps in (dc_steps, ac_steps))
        tables = [(dc[number], ac[number]) for number in order]
        first, symbols, ends = progress.unit, array("i"), array("i")
        for until in progress.spans():
            _walk_blocks(progress, tables, until, last, symbols, ends)
        if ends:
            positions, numbers = (np.frombuffer(each, np.int32) for each in (symbols, ends))
            yield _Chunk(first, progress.unit, windows, positions, numbers, order)


def _walk_blocks(
    progress: Progress,
    tables: Sequence[tuple[array, array]],
    until: int,
    last: int,
    symbols: array,
    ends: array,
) -> None:
    """From code to code; see the beginning of this file.

    Args:
        tables: for each block of a unit, the steps at each position for its mean and for the other coefficients.
        symbols: gets the position of each code. ends: gets the number of codes up to the end of each block.
    """
    add, unit, at, limit = symbols.append, progress.unit, progress.at, progress.limit
    while unit < until and at < limit:
        for dc, ac in tables:
            add(at)
            at += dc[at]
            k = 0
            while k < last:
                add(at)
                step = ac[at]
                at += step & 31
                k += step >> 5
            ends.append(len(symbols))
        unit += 1
    progress.unit, progress.at = unit, at


def _store_blocks(plans: Sequence[BlockPlan], chunk: _Chunk, blocks: np.ndarray, low: int) -> None:
    """Take the values at the positions of the codes; means as differences, see `_sums`.

    Args:
        blocks: of each walked block its number in its component.
    """
    symbols, ends = chunk.symbols, chunk.ends
    starts = np.concatenate([[0], ends[:-1]])
    is_mean = np.zeros(len(symbols), bool)
    is_mean[starts] = True
    component = np.resize(np.array(chunk.order), len(ends))
    block_of = np.arange(len(ends)).repeat(ends - starts)
    for number, plan in enumerate(plans):
        mine = component == number
        means = symbols[starts[mine]]
        table = needed(plan.dc)
        sizes, at = looked_up(table, chunk.windows, means)
        plan.coefficients[blocks[mine], 0] = values_at(chunk.windows, at, sizes & 15)
        others = np.flatnonzero(mine[block_of] & ~is_mean)
        if len(others):
            store_others(plan, chunk.windows, symbols[others], blocks[block_of[others]], 0, low)


def _sums(differences: np.ndarray, restarts: range, per_unit: int, first: int, before: int) -> np.ndarray:
    """Means, from their differences in the order of the scan, which begin anew at restarts (F.1.1.5.1).

    Args:
        differences: int64, of some units. per_unit: means of a unit. first: number of the first unit.
        before: the last mean before them.
    """
    total, count = np.cumsum(differences), len(differences) // per_unit
    places = [(unit - first) * per_unit for unit in restarts[-(-first // restarts.step) :] if unit < first + count]
    offsets = [before, *(-int(total[place - 1]) if place else 0 for place in places)]
    return total + np.repeat(offsets, np.diff([0, *places, len(total)]))
