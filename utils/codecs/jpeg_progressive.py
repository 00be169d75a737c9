"""The scans of a progressive JPEG file that a baseline file does not have (ITU-T T.81, annex G)."""

from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from powerqe.utils.codecs.jpeg_tables import damaged_jpeg
from powerqe.utils.codecs.jpeg_walk import (
    COEFFICIENTS,
    END_OF_BLOCK,
    BlockPlan,
    HuffmanTable,
    Progress,
    Spectrum,
    needed,
    quick,
    store_others,
)

_ZEROS = 0xF0
"""The code of 16 zeros."""


def refine_means(progress: Progress, plans: Sequence[BlockPlan], low: int) -> None:
    """One more bit of each mean, one after another (G.1.2.1)."""
    blocks = sum(plan.units.shape[1] for plan in plans)
    for windows in progress.chunks():
        first, positions = progress.unit, []
        for until in progress.spans():
            count = min(until - progress.unit, -(-(progress.limit - progress.at) // blocks))
            positions.append(progress.at + np.arange(count * blocks))
            progress.unit, progress.at = progress.unit + count, progress.at + count * blocks
        bits = _bits(windows, np.concatenate([np.zeros(0, np.int64), *positions])).reshape(-1, blocks) << low
        for plan in plans:
            columns = plan.units.shape[1]
            plan.coefficients[plan.units[first : progress.unit], 0] |= bits[:, :columns]
            bits = bits[:, columns:]


def _bits(windows: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The single bits at positions, int16."""
    return (windows[positions] >> 15).astype(np.int16)


def _ends_of_bands(table: HuffmanTable, windows: np.ndarray) -> Callable[[int], int]:
    """How many blocks the code at a position ends (G.1.2.2), of a chunk. One by one, numbers of Python are fast."""
    symbols, lengths, following = table.symbols.tobytes(), table.lengths.tobytes(), quick(windows)

    def ended(at: int) -> int:
        code = following[at]
        run, length = symbols[code] >> 4, lengths[code]
        if not length:
            raise damaged_jpeg("an invalid Huffman code")
        return (1 << run) + (following[at + length] >> 16 - run)

    return ended


def read_bands(progress: Progress, plan: BlockPlan, spectrum: Spectrum) -> None:
    """Some coefficients of all blocks for the first time (G.1.2.2)."""
    table, width = needed(plan.ac), spectrum.last - spectrum.first + 1
    step_table = table.ac_steps(progressive=True)
    for windows in progress.chunks():
        steps, first, symbols, ends = quick(step_table[windows]), progress.unit, [], []
        ended = _ends_of_bands(table, windows)
        for until in progress.spans():
            unit, at, pending = progress.unit, progress.at, progress.pending
            while unit < until and at < progress.limit:
                k = COEFFICIENTS if pending else 0
                pending -= bool(pending)
                while k < width:
                    symbols.append(at)
                    step = steps[at]
                    if step >= END_OF_BLOCK:
                        pending = ended(at) - 1
                    at += step & 31
                    k += step >> 5
                ends.append(len(symbols))
                unit += 1
            progress.unit, progress.at, progress.pending = unit, at, pending
        if symbols:
            blocks = plan.units[first : progress.unit, 0].repeat(np.diff(ends, prepend=0))
            store_others(plan, windows, np.array(symbols), blocks, spectrum.first - 1, spectrum.low)


def refine_bands(progress: Progress, plan: BlockPlan, spectrum: Spectrum) -> None:
    """One more bit of those that are not 0, and those that are not 0 from this bit on (G.1.2.3).

    Each that was not 0 has one bit, in the order of the blocks, so where these bits are is enough.
    """
    table, band = needed(plan.ac), slice(spectrum.first, spectrum.last + 1)
    step_table = table.ac_steps(progressive=True)
    for windows in progress.chunks():
        first = progress.unit
        known = plan.coefficients[plan.units[first:, 0], band] != 0
        runs = _Runs([], [], [])
        walk = _band_walk(progress, table, windows, quick(step_table[windows]), known, runs)
        for until in progress.spans():
            walk(until)
        blocks = plan.units[first : progress.unit, 0]
        rows, columns = np.nonzero(known[: len(blocks)])
        chosen = blocks[rows], columns + spectrum.first
        values = plan.coefficients[chosen]
        bits = _bits(windows, runs.positions()) << spectrum.low
        plan.coefficients[chosen] = values + np.sign(values) * bits
        rows, columns, signs = np.array(runs.found, np.int64).reshape(-1, 3).T
        chosen = blocks[rows], columns + spectrum.first
        plan.coefficients[chosen] = (2 * _bits(windows, signs) - 1) << spectrum.low


class _Runs(NamedTuple):
    """Where the bits of a refinement are.

    starts, counts: of runs of bits of those that were not 0. found: of new ones, block from the first of the chunk on,
    coefficient of the band, and position of the sign.
    """

    starts: list[int]
    counts: list[int]
    found: list[tuple[int, int, int]]

    def positions(self) -> np.ndarray:
        """Of each bit of the runs."""
        counts = np.array(self.counts, np.int64)
        gaps = np.array(self.starts, np.int64) - np.cumsum(counts) + counts
        return np.arange(counts.sum()) + gaps.repeat(counts)


def _band_walk(
    progress: Progress, table: HuffmanTable, windows: np.ndarray, steps: array, known: np.ndarray, runs: _Runs
) -> Callable[[int], None]:
    """The walk of `refine_bands` through a chunk, to a unit that it is given or to the chunk's end.

    Args:
        steps: at each position, see `HuffmanTable.ac_steps`.
        known: (blocks, coefficients of the band), which were not 0 before; from the first block of the chunk on.
        runs: gets what is found.
    """
    first, width, limit = progress.unit, known.shape[1], progress.limit
    zeros: list[int] = np.nonzero(~known)[1].tolist()
    zeros_before: list[int] = np.cumsum(width - known.sum(axis=1)).tolist()
    zeros_before.insert(0, 0)
    add_start, add_count, ended = runs.starts.append, runs.counts.append, _ends_of_bands(table, windows)

    def walk(until: int) -> None:
        unit, at, pending = progress.unit, progress.at, progress.pending
        while unit < until and at < limit:
            row = unit - first
            zero, end = zeros_before[row], zeros_before[row + 1]
            k = 0
            while k < width and not pending:
                code, step = at, steps[at]
                at += step & 31
                if step >= END_OF_BLOCK:
                    pending = ended(code)
                    break
                run = (step >> 5) - 1
                if zero + run >= end:
                    raise damaged_jpeg("a block of more than 64 coefficients")
                target = zeros[zero + run]
                if run < 15 or table.symbols[windows[code]] != _ZEROS:
                    runs.found.append((row, target, at - 1))
                count = target - k - run
                add_start(at)
                add_count(count)
                at += count
                zero, k = zero + run + 1, target + 1
            if pending:
                count = (width - k) - (end - zero)
                add_start(at)
                add_count(count)
                at += count
                pending -= 1
            unit += 1
        progress.unit, progress.at, progress.pending = unit, at, pending

    return walk
