"""The executable ``multi_camera``: perception for several cameras, one model in memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dense_perception.ros.executable import Executable, run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the nodes until a signal ends them; returns the exit code (see ``executable.run``)."""
    return run(_build, argv)


def _build() -> Executable:
    from dense_perception.nodes.multi_camera_node import MultiCameraNode
    return MultiCameraNode()


if __name__ == '__main__':
    sys.exit(main())
