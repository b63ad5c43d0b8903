"""Accuracy of obstacles: what a costmap would mark and clear, against the truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class ObstacleGrid:
    """Square cells on the ground ahead of a camera, and what is an obstacle in them.

    ``cell``: edge in metres. ``reach``: metres ahead and to either side. In truth a point is an
    obstacle if it is between ``low`` and ``high`` metres above the ground, and ground if it is at
    most ``low`` above or below it. ``least_points``: fewer points say nothing about a cell.

    :raises ValueError: a cell that is not positive or does not fit into the reach, or heights
        that are not 0 <= low < high.
    """

    cell: float = 0.5
    reach: float = 5.0
    low: float = 0.1
    high: float = 2.0
    least_points: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.cell <= self.reach:
            raise ValueError(f'cells of {self.cell} m must be above 0 and at most the reach, '
                             f'{self.reach} m')
        if not 0 <= self.low < self.high:
            raise ValueError(f'heights {self.low}..{self.high} m must be 0 <= low < high')

    def truth(self, ahead: np.ndarray, right: np.ndarray,
              height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the points of a true depth image say about the cells.

        A cell is *occupied* with at least ``least_points`` obstacle points, and *free* with at
        least as many ground points and no obstacle point.

        :param ahead: float, metres in front of the camera along the ground; NaN = no point.
        :param right: likewise, to the right. :param height: likewise, above the ground.
        :return: occupied and free, bool (rows ahead, columns from left to right).
        """
        with np.errstate(invalid='ignore'):
            obstacle = (height > self.low) & (height <= self.high)
            ground = np.abs(height) <= self.low
        obstacles = self._count(ahead[obstacle], right[obstacle])
        grounds = self._count(ahead[ground], right[ground])
        return obstacles >= self.least_points, (grounds >= self.least_points) & (obstacles == 0)

    def marked(self, ahead: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Cells with at least ``least_points`` of these points, bool as in ``truth``."""
        return self._count(ahead, right) >= self.least_points

    def _count(self, ahead: np.ndarray, right: np.ndarray) -> np.ndarray:
        rows = int(self.reach / self.cell + 1e-9)
        row, column = np.floor(ahead / self.cell), np.floor(right / self.cell) + rows
        with np.errstate(invalid='ignore'):
            inside = (row >= 0) & (row < rows) & (column >= 0) & (column < 2 * rows)
        cells = row[inside].astype(np.int64) * 2 * rows + column[inside].astype(np.int64)
        return np.bincount(cells, minlength=2 * rows * rows).reshape(rows, 2 * rows)


class ObstacleAccuracy:
    """False marks and false clears over all frames taken in, in cells.

    With a tolerance of one cell, the eight around it included, because a costmap inflates
    obstacles: a *false mark* is a cell that is free in truth and occupied in the prediction,
    without an obstacle of the truth in or around it. A *false clear* is a cell that is occupied
    in truth without one that is occupied in the prediction in or around it. Cells that the truth
    does not see count as neither.
    """

    def __init__(self) -> None:
        self.free = self.occupied = self.false_marks = self.false_clears = 0

    def add(self, marked: np.ndarray, occupied: np.ndarray, free: np.ndarray) -> None:
        """Take in one frame: the cells that the prediction marks, and those of the truth."""
        wrong, missed = compare(marked, occupied, free)
        self.free += int(free.sum())
        self.occupied += int(occupied.sum())
        self.false_marks += int(wrong.sum())
        self.false_clears += int(missed.sum())

    def result(self) -> dict[str, float | int | None]:
        """Shares ``false_mark`` of free and ``false_clear`` of occupied cells, and their numbers.

        A share is None where there was no such cell.
        """
        return {'false_mark': self.false_marks / self.free if self.free else None,
                'false_clear': self.false_clears / self.occupied if self.occupied else None,
                'free_cells': self.free, 'occupied_cells': self.occupied}


def compare(marked: np.ndarray, occupied: np.ndarray,
            free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells of one frame that are marked falsely, and those that are missed; bool."""
    return marked & free & ~_around(occupied), occupied & ~_around(marked)


def _around(cells: np.ndarray) -> np.ndarray:
    return cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
