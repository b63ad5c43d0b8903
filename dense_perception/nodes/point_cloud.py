"""The executable ``point_cloud``: depth of any source in; clouds out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dense_perception.ros.executable import Executable, run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until a signal ends it; returns the exit code (see ``executable.run``)."""
    return run(_build, argv)


def _build() -> Executable:
    from dense_perception.nodes.point_cloud_node import PointCloudNode
    return PointCloudNode()


if __name__ == '__main__':
    sys.exit(main())
