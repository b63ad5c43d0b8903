"""Objects in COCO's format: boxes and masks, for detectors."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dense_perception_training.datasets.base import DatasetError
from dense_perception_training.datasets.reading import read_image
from dense_perception_training.sample import SampleError

_FINER = 4


@dataclass(frozen=True)
class Objects:
    """An image and the objects in it.

    ``image``: uint8 (H, W, 3), RGB. ``boxes``: float32 (N, 4), x0 y0 x1 y1 in pixels. ``labels``:
    int64 (N,), numbers of the classes in the order of the file's categories. ``masks``: bool
    (N, H, W).
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray


class Coco:
    """The images of an annotation file (``instances_train2017.json``), crowds left out.

    :param root: folder of the dataset. :param annotations: the file, relative to it.
    :param images: folder of the images, relative to it.
    :param empty: keep images without objects.
    :raises DatasetError: the file is missing or not in this format.
    """

    def __init__(self, root: Path, annotations: str, images: str, empty: bool = False) -> None:
        self._folder, file = root / images, root / annotations
        try:
            content = json.loads(file.read_text(encoding='utf-8'))
            categories = sorted(content['categories'], key=lambda c: c['id'])
            self.classes = tuple(str(c['name']) for c in categories)
            number = {c['id']: n for n, c in enumerate(categories)}
            objects: dict[int, list[tuple[int, Any, Any]]] = defaultdict(list)
            for one in content['annotations']:
                if not one.get('iscrowd') and min(one['bbox'][2:]) > 0:
                    objects[one['image_id']].append(
                        (number[one['category_id']], one['bbox'], one.get('segmentation')))
            self._items = [(str(image['file_name']), objects[image['id']])
                           for image in content['images'] if empty or objects[image['id']]]
        except OSError as error:
            raise DatasetError(f'dataset "coco": cannot read {file}: {error.strerror}') from None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DatasetError(f'dataset "coco": {file} is not in COCO\'s format of instances '
                               f'({error!r})') from None
        if not self._items:
            raise DatasetError(f'dataset "coco": {file} has no image with an object')

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._items)

    def __getitem__(self, index: int) -> Objects:
        """Read one image.

        :raises SampleError: it cannot be read, or a mask is in a form that this does not know.
        """
        name, objects = self._items[index]
        image = read_image(self._folder / name)
        height, width = image.shape[:2]
        boxes = np.array([box for _, box, _ in objects], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        masks = [_mask(outline, box, height, width, name)
                 for box, (_, _, outline) in zip(boxes, objects, strict=True)]
        return Objects(image, boxes, np.array([label for label, _, _ in objects], np.int64),
                       np.array(masks, bool).reshape(-1, height, width))


def _mask(outline: Any, box: np.ndarray, height: int, width: int, name: str) -> np.ndarray:
    """From polygons or counts of runs; without either the whole box."""
    mask = np.zeros((height, width), np.uint8)
    if not outline:
        x0, y0, x1, y1 = box.round().astype(int)
        mask[max(y0, 0):y1, max(x0, 0):x1] = 1
    elif isinstance(outline, list):
        # OpenCV fills the outline itself too; what counts is whether the pixel's centre is inside.
        fine = np.zeros((_FINER * height, _FINER * width), np.uint8)
        for polygon in outline:
            corners = np.round(np.reshape(polygon, (-1, 2)) * _FINER).astype(np.int32)
            cv2.fillPoly(fine, [corners], 1)
        mask = fine[_FINER // 2::_FINER, _FINER // 2::_FINER]
    elif isinstance(outline, dict) and isinstance(outline.get('counts'), list):
        runs = np.repeat(np.arange(len(outline['counts'])) % 2, outline['counts'])
        mask = runs.reshape(width, height).T.astype(np.uint8)  # columns first
    else:
        raise SampleError(f'{name}: a mask is neither polygons nor a list of counts; decode '
                          'compressed counts first')
    return mask
