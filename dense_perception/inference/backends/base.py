"""What every inference backend offers the predictor."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class BackendError(RuntimeError):
    """A backend that cannot load or run a model; the message says why and what to do."""


class Backend(Protocol):
    """A loaded model. ``run`` releases the GIL while it computes."""

    name: str
    """What diagnostics show, for example ``onnxruntime-cpu``."""

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one batch: contiguous arrays by graph input name -> arrays by graph output name.

        :raises BackendError: the runtime failed; the next batch may succeed.
        """
        ...
