from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerqe.dataset.sampler import TrainSampler
from powerqe.utils.errors import UserError


def take(count, *args, **kwargs):
    return list(islice(TrainSampler(*args, **kwargs), count))


def draws_of(batches):
    return [draw for batch in batches for draw in batch]


@given(
    size=st.integers(1, 20),
    batch=st.integers(1, 5),
    ratio=st.integers(5, 9),
    start=st.integers(0, 300),
    rank=st.integers(0, 1),
)
def test_a_jump_equals_iterating(size, batch, ratio, start, rank):
    if size * ratio < 2 * batch:
        return
    options = {"enlarge_ratio": ratio, "seed": 3, "rank": rank, "world_size": 2}
    iterated = take(start + 5, size, batch, **options)[start:]
    assert iterated == take(5, size, batch, start=start, **options)


def test_an_epoch_visits_each_sample_enlarge_ratio_times():
    sampler = TrainSampler(12, 4, enlarge_ratio=5)
    assert sampler.epoch_batches == 15
    for epoch in range(3):
        draws = draws_of(take(15, 12, 4, enlarge_ratio=5, start=15 * epoch))
        assert Counter(draw.index for draw in draws) == dict.fromkeys(range(12), 5)


def test_ranks_are_disjoint_and_together_make_the_epoch():
    ranks = [draws_of(take(4, 20, 2, seed=1, rank=rank, world_size=2)) for rank in range(2)]
    assert len(set(ranks[0]) & set(ranks[1])) == 0
    indices = [draw.index for draws in ranks for draw in draws]
    assert len(set(indices)) == len(indices) == 16  # 20 samples, 5 batches of 4 over both ranks
    assert TrainSampler(20, 2, world_size=2).epoch_batches == 5


def test_ranks_have_the_same_number_of_whole_batches():
    batches = [take(9, 23, 3, rank=rank, world_size=2) for rank in range(2)]
    assert all(len(batch) == 3 for rank in batches for batch in rank)
    assert TrainSampler(23, 3, world_size=2).epoch_batches == 3
    assert not set(draws_of(batches[0])) & set(draws_of(batches[1]))


def test_no_epoch_repeats_another():
    draws = draws_of(take(5 * 50, 10, 2))
    assert len({draw.seed for draw in draws}) == len(draws)
    assert all(0 <= draw.seed < 2**64 for draw in draws)
    orders = {tuple(draw.index for draw in draws[start : start + 10]) for start in range(0, 500, 10)}
    assert len(orders) == 50


def test_seed_decides():
    assert take(9, 10, 2, seed=1) == take(9, 10, 2, seed=1)
    assert take(9, 10, 2, seed=1) != take(9, 10, 2, seed=2)


def test_smaller_than_a_batch():
    message = (
        r"smaller than a batch: 7 samples x enlarge_ratio 1 < bs_pg 4 x 2 ranks; raise enlarge_ratio or lower bs_pg"
    )
    with pytest.raises(UserError, match=message):
        TrainSampler(7, 4, world_size=2)
    assert TrainSampler(8, 4, world_size=2).epoch_batches == 1


def test_a_batch_shares_one_number_on_all_ranks_and_no_other_batch_has_it():
    ranks = [list(islice(TrainSampler(6, 2, enlarge_ratio=4, seed=1, rank=r, world_size=2), 14)) for r in (0, 1)]
    numbers = [{draw.batch for rank in ranks for draw in rank[number]} for number in range(14)]
    assert all(len(shared) == 1 for shared in numbers)
    assert len(set.union(*numbers)) == 14
