"""Types of command line arguments, for `type=` of `add_argument`."""

import argparse
import re
from collections.abc import Callable


def number(low: float, high: float, what: str) -> Callable[[str], float]:
    """A number in [low, high]; `what` describes it in the error message."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected {what}")
        return value

    return parse


def positive(text: str) -> int:
    """An integer >= 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected an integer >= 1")
    return int(text)


def natural(text: str) -> int:
    """An integer >= 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected an integer >= 0")
    return int(text)


def numbers(text: str) -> list[int]:
    """One or several integers, separated by commas, without duplicates."""
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected integers such as 10 or 10,20,30") from None


def width_and_height(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT, in pixels."""
    found = re.fullmatch(r"([1-9]\d{0,8})[xX]([1-9]\d{0,8})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected WIDTHxHEIGHT such as 640x480")
    return int(found[1]), int(found[2])
