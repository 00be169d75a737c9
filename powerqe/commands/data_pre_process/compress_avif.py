"""Compress images with AVIF (4:2:0); the decoded images are saved as PNG files."""

from powerqe.arguments.image_codec import ImageCodec

CODEC = ImageCodec("AVIF", "qf", 0, 100)
EXAMPLES = CODEC.examples
add_arguments, run = CODEC.add_arguments, CODEC.run
