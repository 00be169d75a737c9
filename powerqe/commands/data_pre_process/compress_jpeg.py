"""Compress images with JPEG (4:2:0, baseline); the decoded images are saved as PNG files."""

from powerqe.arguments.image_codec import ImageCodec

CODEC = ImageCodec("JPEG", "qf", 1, 100)
EXAMPLES = CODEC.examples
add_arguments, run = CODEC.add_arguments, CODEC.run
