"""What is known of a checkpoint before its tensors are touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Layout:
    """The public layout of a checkpoint, and the registered model that it belongs to.

    ``kind``: one of ``checkpoints.KINDS``. ``variant``, ``overrides``: what to build,
    ``create_model(layout.variant, **layout.overrides)``; the overrides are what differs from the
    registered variant, in values that JSON can hold.
    """

    kind: str
    variant: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
