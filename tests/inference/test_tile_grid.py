"""Tiles: their cores make up the image, and a tile is a smaller image of the same kind."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from powerqe.inference.tile_grid import Span, divide, spans

lengths, sizes, overlaps = st.integers(1, 300), st.integers(1, 80), st.integers(0, 60)
multiples = st.sampled_from([1, 2, 3, 8, 16])


@given(lengths, sizes, overlaps, multiples)
def test_cores_make_up_the_axis_and_tiles_keep_to_the_strides(length: int, size: int, overlap: int, multiple: int):
    found = spans(length, size, overlap, multiple)
    assert [index for span in found for index in range(span.core_start, span.core_stop)] == list(range(length))
    assert [span.is_last for span in found] == [False] * (len(found) - 1) + [True]
    for span in found:
        assert span.start % multiple == span.core_start % multiple == 0
        assert (length - span.stop) % multiple == 0
        assert span.start <= max(span.core_start - overlap, 0)
        # Beyond the last whole cell that the tile has, the network may pad: the overlap is counted from there.
        assert span.stop == length or span.stop // multiple * multiple >= span.core_stop + overlap
        if len(found) > 1:
            assert span.core_stop - span.core_start <= max(size, 2 * multiple)
            assert multiple <= span.length < length
    assert len(found) == 1 or multiple == 1 or found[0].length >= 3 * multiple  # see ratio_of


def test_cores_are_of_about_one_size():
    assert [span.core_stop - span.core_start for span in spans(520, 512, 4, 8)] == [264, 256]


def test_an_axis_that_a_tile_would_see_whole_is_not_divided():
    assert spans(40, 16, 20, 1) == [Span(0, 40, 0, 40, True)]
    assert len(spans(60, 16, 20, 1)) > 1


def test_tiles_come_row_by_row():
    tiles = divide(50, 30, 20, (1, 2), 1)
    assert [(tile.rows.core_start, tile.columns.core_start) for tile in tiles] == [
        (row, column) for row in (0, 17, 34) for column in (0, 15)
    ]
    assert (tiles[0].rows.stop, tiles[0].columns.stop) == (18, 17)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_cores_of_strided_maps_make_up_the_map(stride: int):
    image = torch.arange(47.0 * 61).view(1, 1, 47, 61)
    strided = image[..., ::stride, ::stride]
    tiles = divide(47, 61, 12, (3, 5), 4)
    assert len(tiles) > 6
    seen = torch.full_like(strided, -1)
    for tile in tiles:
        features = tile.cut(image)[..., ::stride, ::stride]
        ratios = tile.ratios_of(features, 4)
        core = tile.core_of(features, ratios)
        top, left = tile.rows.core_start // stride, tile.columns.core_start // stride
        seen[..., top : top + core.shape[-2], left : left + core.shape[-1]] = core
    assert torch.equal(seen, strided)
