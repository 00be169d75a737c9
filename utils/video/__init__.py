"""Video files and raw video: reading, writing, frames."""
