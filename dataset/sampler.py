"""The order in which training visits the samples: a function of numbers, so that any place is one jump away."""

from collections.abc import Iterator

import numpy as np

from powerqe.dataset.augment import mix
from powerqe.dataset.samples import Draw
from powerqe.utils.errors import UserError

_MOST_VISITS = 1 << 27
"""Visits in an epoch; their order takes 8 bytes each."""


class TrainSampler:
    """Infinite batches of `Draw`s for one rank.

    Epoch e is a random permutation of `size * enlarge_ratio` visits that depends on (seed, e) only. Rank
    r takes the visits r, r + world_size, ... of it. Visits at the end that do not make one whole batch
    for each rank are left out (others in each epoch). The seed of a sample comes from (seed, epoch, place
    in the epoch), so no epoch repeats another's crops and the number of workers has no influence.

    Args:
        size: samples in the data set.
        batch: samples per rank and batch.
        enlarge_ratio: visits to each sample per epoch.
        seed: chooses order and crops.
        rank, world_size: this process and how many there are.
        start: batches that this rank has had already.

    Raises:
        UserError: an epoch is smaller than one batch of all ranks, or larger than `_MOST_VISITS`.
    """

    def __init__(
        self,
        size: int,
        batch: int,
        *,
        enlarge_ratio: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
    ) -> None:
        self.epoch_batches = size * enlarge_ratio // (batch * world_size)
        if self.epoch_batches == 0:
            raise UserError(
                f"the training set is smaller than a batch: {size} samples x enlarge_ratio {enlarge_ratio} < "
                f"bs_pg {batch} x {world_size} ranks; raise enlarge_ratio or lower bs_pg"
            )
        if size * enlarge_ratio > _MOST_VISITS:
            raise UserError(
                f"an epoch of {size} samples x enlarge_ratio {enlarge_ratio} is larger than {_MOST_VISITS:,} visits; "
                "lower enlarge_ratio"
            )
        self._size, self._batch, self._visits = size, batch, size * enlarge_ratio
        self._seed, self._rank, self._world_size, self._start = seed, rank, world_size, start

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch, first = divmod(self._start, self.epoch_batches)
        while True:
            order = np.random.default_rng((self._seed, epoch)).permutation(self._visits)
            for number in range(first, self.epoch_batches):
                yield self._draws(order, epoch, number)
            epoch, first = epoch + 1, 0

    def _draws(self, order: np.ndarray, epoch: int, number: int) -> list[Draw]:
        start = number * self._batch * self._world_size + self._rank
        places = range(start, start + self._batch * self._world_size, self._world_size)
        shared = mix(self._seed, epoch, self._visits + number)
        return [Draw(int(order[place]) % self._size, mix(self._seed, epoch, place), shared) for place in places]
