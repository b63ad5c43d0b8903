"""Datasets on disk: ``open_dataset('nyu', root, 'train')[0]`` is a :class:`Sample`."""

from dense_perception_training.datasets import (  # noqa: F401  each registers itself
    ade20k,
    bag,
    cityscapes,
    coco_depth,
    ddad,
    diode,
    eth3d,
    folder,
    hypersim,
    ibims1,
    kitti,
    nyu,
    nyu_labelled,
    oasis,
    p3m10k,
    scannet,
    sunrgbd,
    taskonomy,
    vkitti2,
    world,
)
from dense_perception_training.datasets.base import (
    DatasetError,
    DatasetInfo,
    DenseDataset,
    Records,
)
from dense_perception_training.datasets.mixture import Mixture, Part
from dense_perception_training.datasets.registry import (
    dataset_info,
    list_datasets,
    open_dataset,
    parse_option,
)
from dense_perception_training.datasets.skipping import Skipping
from dense_perception_training.sample import (
    LabelRangeError,
    NoTruthError,
    Sample,
    SampleError,
    SizeMismatchError,
    UnreadableFileError,
)

__all__ = ['DatasetError', 'DatasetInfo', 'DenseDataset', 'LabelRangeError', 'Mixture',
           'NoTruthError', 'Part', 'Records', 'Sample', 'SampleError', 'SizeMismatchError',
           'Skipping', 'UnreadableFileError', 'dataset_info', 'list_datasets', 'open_dataset',
           'parse_option']
