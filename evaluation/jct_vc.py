"""The test sequences of the Joint Collaborative Team on Video Coding, by which papers on video average.

F. Bossen, "Common test conditions and software reference configurations", JCTVC-L1100, 2013; those 18 that papers on
quality enhancement take. RaceHorses is there twice, so the size is part of a sequence's identity.
"""

_SIZES = {
    "A": (2560, 1600, ("Traffic", "PeopleOnStreet")),
    "B": (1920, 1080, ("Kimono", "ParkScene", "Cactus", "BQTerrace", "BasketballDrive")),
    "C": (832, 480, ("RaceHorses", "BQMall", "PartyScene", "BasketballDrill")),
    "D": (416, 240, ("RaceHorses", "BQSquare", "BlowingBubbles", "BasketballPass")),
    "E": (1280, 720, ("FourPeople", "Johnny", "KristenAndSara")),
}

CLASSES: dict[tuple[str, int, int], str] = {
    (name, width, height): letter for letter, (width, height, names) in _SIZES.items() for name in names
}
"""(name, width, height) -> class."""


def class_of(name: str, width: int, height: int) -> str:
    """The class of a sequence, "" if it is none of them.

    Args:
        name: with or without the size, as `Traffic` or `Traffic_2560x1600`.
        width, height: in pixels.
    """
    return CLASSES.get((name.removesuffix(f"_{width}x{height}"), width, height), "")


def size_of(letter: str) -> int:
    """Sequences in a class."""
    return len(_SIZES[letter][2])
