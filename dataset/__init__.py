"""Where a sample comes from: image folders and LMDB stores, degradations, sampler and loader."""

from powerqe.dataset.samples import DATASETS, Draw, ImageDataset, Sample, build_dataset

__all__ = ["DATASETS", "Draw", "ImageDataset", "Sample", "build_dataset"]
