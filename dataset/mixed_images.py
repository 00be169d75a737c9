"""Several data sets as one."""

from bisect import bisect_right
from itertools import accumulate
from typing import Annotated, Any, cast

from pydantic import Field, PositiveFloat

from powerqe.dataset.augment import Dice
from powerqe.dataset.samples import DATASETS, Draw, ImageDataset, Sample, build_dataset
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import Component, Slot

_ALIKE = {"patch": None, "color": "rgb"}
"""Options that decide the size of a sample, with the value of a source that has no such option."""


class WeightedSource(Component):
    """A data set and how often it is drawn from."""

    weight: Annotated[PositiveFloat, Field(description="samples of it, in proportion to the other weights")] = 1.0


@DATASETS.register()
class MixedImages:
    """Samples of several data sets: each random one of a source that its seed draws, by weight.

    All images of the drawn source are equally likely, so the weights decide and the sizes of the sources do not.
    An epoch has as many samples as all sources together. For tests and validation all samples of all sources come,
    in order; their names and groups begin with the source's.

    Args:
        sources: a mapping NAME: {weight: w, type: TYPE, ...} of data sets whose samples have one size.

    Raises:
        UserError: no source, patches or colors that differ, gt in some only, or what a source raises, with its name.
    """

    def __init__(self, *, sources: Annotated[dict[str, Any], Slot("dataset", WeightedSource, named=True)]) -> None:
        slot = Slot("dataset", WeightedSource, named=True)
        components = cast(dict[str, WeightedSource], slot.validate(sources))
        if not components:
            raise UserError("sources: found none, expected one or more NAME: {weight: w, type: TYPE, ...}")
        for option, default in _ALIKE.items():
            found = {name: component.arguments.get(option, default) for name, component in components.items()}
            if len(set(found.values())) > 1:
                listed = ", ".join(f"{name} {value}" for name, value in found.items())
                raise UserError(f"sources: {option}: found {listed}; samples of one batch must have the same")
        without = [name for name, component in components.items() if component.arguments.get("gt", "") is None]
        if 0 < len(without) < len(components):
            raise UserError(
                f"sources: {', '.join(without)} has gt: null, the others have gt; give all sources gt or none"
            )
        self._names = list(components)
        self._weights = [component.weight for component in components.values()]
        self._sources: list[ImageDataset] = [
            build_dataset(component, f"sources.{name}") for name, component in components.items()
        ]
        self._ends = list(accumulate(len(source) for source in self._sources))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, request: int | Draw) -> Sample:
        if isinstance(request, Draw):
            dice = Dice(request.seed)
            number = dice.pick(self._weights)
            index = dice.between(0, len(self._sources[number]) - 1)
            return self._named(number, self._sources[number][Draw(index, dice.number(), request.batch)])
        number = bisect_right(self._ends, request)
        start = self._ends[number - 1] if number else 0
        return self._named(number, self._sources[number][request - start])

    def _named(self, number: int, sample: Sample) -> Sample:
        name = self._names[number]
        group = f"{name}-{sample['group']}" if sample["group"] else name
        return {**sample, "name": f"{name}-{sample['name']}", "group": group}
