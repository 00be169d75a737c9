"""Codecs that damage images, for the data scripts and for degradation on the fly: one file and one class for each.

A codec has keyword options, the name and range of its quality, and `compress` (see `Codec`). A file here with
a class decorated with `@CODECS.register()` is all that another one takes. What a codec cannot do without, a library
or a program, is looked for when it is built, so that its absence is reported before any work is done.
"""

from powerqe.utils.codecs.codec import CODECS, Codec, check_quality
from powerqe.utils.codecs.jpeg import JPEG

__all__ = ["CODECS", "JPEG", "Codec", "check_quality"]
