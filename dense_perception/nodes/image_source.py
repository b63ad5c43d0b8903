"""The executable ``image_source``: plays pictures, videos, bags, webcams or the world."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dense_perception.ros.executable import Executable, run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until its source ends; returns the exit code (see ``executable.run``)."""
    return run(_build, argv)


def _build() -> Executable:
    from dense_perception.nodes.image_source_node import ImageSourceNode
    return ImageSourceNode()


if __name__ == '__main__':
    sys.exit(main())
