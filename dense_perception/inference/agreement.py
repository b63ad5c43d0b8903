"""How far a lower precision is from fp32, and the limits beyond which it is refused.

Compared are the outputs of two backends for the same inputs. Metric depth by relative error, other
depth by error relative to the largest value of its map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dense_perception.inference import card as names
from dense_perception.inference.card import ModelCard

Outputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Limits:
    """The most that a lower precision may differ from fp32, of :meth:`Agreement.figures`."""

    abs_rel: float = 0.02
    labels_differ: float = 0.02
    unknown_differ: float = 0.01
    normals_degrees: float = 2.0
    alpha_mad: float = 0.01


class Agreement:
    """Takes in pairs of outputs, gives figures.

    :param card: of the model that both ran.
    """

    def __init__(self, card: ModelCard) -> None:
        self._metric = card.depth_convention == 'metric'
        self._classes = max((c.id for c in card.classes), default=-1) + 1
        self._confusion = np.zeros((self._classes, self._classes + 1), np.int64)
        self._images: list[dict[str, float]] = []

    def __len__(self) -> int:
        """Return the number of images taken in."""
        return len(self._images)

    def add(self, reference: Outputs, candidate: Outputs) -> None:
        """Take in the outputs for one image, by graph output name, with or without batch axis."""
        found: dict[str, float] = {}
        if names.OUTPUT_DEPTH in reference:
            found |= self._depth(reference[names.OUTPUT_DEPTH], candidate[names.OUTPUT_DEPTH])
        if names.OUTPUT_LABELS in reference:
            a, b = reference[names.OUTPUT_LABELS], candidate[names.OUTPUT_LABELS]
            found['labels_differ'] = float(np.mean(a != b))
            columns = self._classes + 1
            cells = a.astype(np.int64) * columns + np.minimum(b, self._classes)
            self._confusion += np.bincount(
                cells.ravel(), minlength=self._confusion.size).reshape(self._confusion.shape)
        if names.OUTPUT_NORMALS in reference:
            cosine = np.sum(reference[names.OUTPUT_NORMALS] * candidate[names.OUTPUT_NORMALS], -1)
            angles = np.degrees(np.arccos(np.clip(cosine[np.isfinite(cosine)], -1, 1)))
            found['normals_degrees'] = float(np.mean(angles)) if angles.size else 0.0
        if names.OUTPUT_ALPHA in reference:
            found['alpha_mad'] = float(np.mean(np.abs(
                reference[names.OUTPUT_ALPHA] - candidate[names.OUTPUT_ALPHA])))
        self._images.append(found)

    def _depth(self, a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        known = np.isfinite(a), np.isfinite(b)
        both = known[0] & known[1]
        a, b = a[both].astype(np.float64), b[both].astype(np.float64)
        scale = np.abs(a) if self._metric else np.max(np.abs(a), initial=0)
        error = np.abs(a - b) / np.maximum(scale, 1e-6)
        found = {'abs_rel': float(np.mean(error)) if error.size else 0.0,
                 'max_error': float(np.max(error, initial=0)),
                 'unknown_differ': float(np.mean(known[0] != known[1]))}
        if self._metric and error.size:
            found['d1'] = float(np.mean(np.maximum(a, b) < 1.25 * np.minimum(a, b)))
        return found

    def figures(self) -> dict[str, float]:
        """Means over images of ``abs_rel``, ``d1``, ``unknown_differ``, ``labels_differ``, ...

        ``max_error`` is the largest; ``miou`` takes the reference for the truth.
        """
        result: dict[str, float] = {'images': len(self._images)}
        for name in dict.fromkeys(name for image in self._images for name in image):
            values = [image[name] for image in self._images if name in image]
            result[name] = max(values) if name == 'max_error' else float(np.mean(values))
        if self._confusion.sum():
            hits = np.diagonal(self._confusion)
            union = self._confusion.sum(1) + self._confusion.sum(0)[:-1] - hits
            result['miou'] = float(np.mean(hits[union > 0] / union[union > 0]))
        return result

    def problem(self, limits: Limits) -> str | None:
        """Which figures are beyond the limits; None if all are within."""
        figures = self.figures()
        beyond = [f'{name} {figures[name]:.4f} (at most {limit:g})'
                  for name, limit in vars(limits).items()
                  # Not "greater than": a NaN is no agreement.
                  if name in figures and not figures[name] <= limit]
        if not beyond:
            return None
        return (f'too far from fp32 on {len(self._images)} images: {", ".join(beyond)}')
