"""The tree of frames, as far as it was heard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dense_perception.geometry.rotation import rotation_matrix


class TfTree:
    """Newest transform from each frame to its parent."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, np.ndarray]] = {}

    def add(self, parent: str, child: str, translation: Sequence[float],
            quaternion: Sequence[float]) -> None:
        """Take in one transform (quaternion x, y, z, w).

        :raises ValueError: the quaternion is zero or not finite.
        """
        pose = np.eye(4)
        pose[:3, :3] = rotation_matrix(quaternion)
        pose[:3, 3] = translation
        self._parents[child.lstrip('/')] = parent.lstrip('/'), pose

    @property
    def frames(self) -> set[str]:
        """Every frame that was heard of."""
        return {*self._parents, *(parent for parent, _ in self._parents.values())}

    def pose(self, target: str, source: str) -> np.ndarray | None:
        """Pose (4, 4) of frame ``source`` in frame ``target``; None if nothing connects them."""
        one, other = self._to_root(source), self._to_root(target)
        if one[0] != other[0]:
            return None
        return np.linalg.inv(other[1]) @ one[1]

    def _to_root(self, frame: str) -> tuple[str, np.ndarray]:
        """The root that a frame hangs from, and the frame's pose there."""
        pose, seen = np.eye(4), {frame}
        while frame in self._parents:
            frame, step = self._parents[frame]
            pose = step @ pose
            if frame in seen:
                break  # a loop, which tf2 would refuse
            seen.add(frame)
        return frame, pose
