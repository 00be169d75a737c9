"""The commands that compress images: one per codec, all with the same arguments."""

import argparse
from typing import NamedTuple

from powerqe.arguments.data_scripts import add_data_arguments, add_nworker
from powerqe.arguments.shard import add_shard
from powerqe.arguments.types import numbers


class ImageCodec(NamedTuple):
    """A codec as the command line needs it, without importing it.

    name: in the registry of codecs. quality: short name of the quality. low, high: its range.
    options: arguments of the codec that follow the source folder, with their help texts.
    """

    name: str
    quality: str
    low: int
    high: int
    options: tuple[tuple[str, str], ...] = ()

    @property
    def examples(self) -> tuple[str]:
        """One command, with a quality in the middle of the range."""
        options = [option.upper() for option, _ in self.options]
        middle = str((self.low + self.high) // 2)
        return (" ".join(["%(prog)s div2k/raw_ds_2", *options, middle, f"div2k/{self.name.lower()}_ds_2"]),)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add source, options of the codec, qualities and target."""
        quality = self.quality.upper()
        add_data_arguments(parser)
        add = parser.add_argument
        add("source", help="folder of images, inside the data folder, for example div2k/raw_ds_2")
        for option, text in self.options:
            add(option, help=text)
        add("quality", type=numbers, help=f"{quality}, {self.low} to {self.high}, or several separated by commas, for "
            "example 10,20,30")  # fmt: skip
        add("target", help=f"folder, inside the data folder, for the results; each quality has its subfolder "
            f"{self.quality}<{quality}>")  # fmt: skip
        add_nworker(parser)
        add_shard(parser, "image")

    def run(self, args: argparse.Namespace) -> None:
        """Compress images that have no result yet."""
        from powerqe.data_pre_process.compress import compress
        from powerqe.utils.codecs import CODECS

        codec = CODECS[self.name](**{option: getattr(args, option) for option, _ in self.options})
        compress(codec, args.quality, args)
