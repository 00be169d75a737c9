"""Where a sample comes from: image folders and LMDB stores, degradations, sampler and loader."""

from dataset.registry import DATASETS, Draw, ImageDataset, Sample

__all__ = ["DATASETS", "Draw", "ImageDataset", "Sample"]
