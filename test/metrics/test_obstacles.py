from __future__ import annotations

import numpy as np
import pytest

from dense_perception.metrics.obstacles import ObstacleAccuracy, ObstacleGrid, compare

GRID = ObstacleGrid(cell=0.5, reach=2.0)


def points(*places: tuple[float, float, float], times: int = 3) -> tuple[np.ndarray, ...]:
    """``times`` points at each (ahead, right, height)."""
    return tuple(np.repeat(np.array(places, np.float32).T, times, axis=1))


def test_points_fall_into_their_cells() -> None:
    occupied, free = GRID.truth(*points(
        (0.1, -1.9, 0.5), (1.9, 0.1, 1.9), (0.6, 0.6, 0.05), (0.6, 1.1, -0.1)))
    assert occupied.shape == free.shape == (4, 8)
    assert np.argwhere(occupied).tolist() == [[0, 0], [3, 4]]
    assert np.argwhere(free).tolist() == [[1, 5], [1, 6]]


@pytest.mark.parametrize('place', [
    (-0.1, 0.0, 0.5), (2.1, 0.0, 0.5), (1.0, -2.1, 0.5), (1.0, 2.1, 0.5),  # outside
    (1.0, 0.0, 2.1), (1.0, 0.0, -0.2),  # a lamp, a hole
    (np.nan, 0.0, 0.5), (1.0, 0.0, np.nan)])
def test_other_points_say_nothing(place: tuple[float, float, float]) -> None:
    occupied, free = GRID.truth(*points(place))
    assert not occupied.any() and not free.any()


def test_few_points_say_nothing_but_deny_that_a_cell_is_free() -> None:
    occupied, free = GRID.truth(*points((1.0, 0.1, 0.5), times=2))
    assert not occupied.any() and not free.any()
    ground, speck = points((1.0, 0.1, 0.0), times=9), points((1.0, 0.1, 0.5), times=1)
    both = [np.concatenate(pair) for pair in zip(ground, speck)]
    assert not any(cells.any() for cells in GRID.truth(*both))


def test_a_neighbour_is_near_enough() -> None:
    def at(*cells: tuple[int, int]) -> np.ndarray:
        grid = np.zeros((4, 8), bool)
        grid[tuple(np.transpose(cells))] = True
        return grid

    occupied, free = at((1, 1), (3, 6)), at((1, 2), (1, 3), (0, 7), (2, 7))
    wrong, missed = compare(at((1, 2), (1, 3)), occupied, free)
    assert np.argwhere(wrong).tolist() == [[1, 3]]  # (1, 2) lies at the obstacle
    assert np.argwhere(missed).tolist() == [[3, 6]]
    accuracy = ObstacleAccuracy()
    assert accuracy.result()['false_mark'] is None
    accuracy.add(at((1, 2), (1, 3)), occupied, free)
    accuracy.add(at((3, 7)), occupied, free)
    assert accuracy.result() == {'false_mark': 1 / 8, 'false_clear': 2 / 4, 'free_cells': 8,
                                 'occupied_cells': 4}


def test_marks_need_points_enough() -> None:
    ahead, right, _ = points((0.6, 0.1, 0.0), (1.6, -1.1, 0.0), times=3)
    marked = GRID.marked(ahead[:-1], right[:-1])
    assert np.argwhere(marked).tolist() == [[1, 4]]
    assert not GRID.marked(np.empty(0), np.empty(0)).any()


@pytest.mark.parametrize('wrong', [{'cell': 0.0}, {'cell': 3.0, 'reach': 2.0}, {'low': 2.0},
                                   {'low': -0.1}])
def test_grids_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match='must be'):
        ObstacleGrid(**wrong)
