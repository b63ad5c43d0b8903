"""Loaded models that several predictors share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from dense_perception.inference.backends import BackendOptions, Ladder
from dense_perception.inference.model_file import ModelFile
from dense_perception.inference.predictor import Predictor


class Engines:
    """Gives predictors; those of one model, backend and options share what is loaded.

    It is given up with the last of them. Safe to use from any thread. Sharing predictors must
    not predict more images at the same time than ``Backend.concurrency``; see ``batches.Batch``.

    :param batch: see ``BackendOptions``. :param cpu_batch: likewise.
    """

    def __init__(self, batch: int = 1, cpu_batch: int = 1) -> None:
        self.batch, self._cpu_batch = batch, cpu_batch
        self._lock = threading.Lock()
        self._loaded: WeakValueDictionary[tuple[object, ...], Ladder] = WeakValueDictionary()

    def predictor(self, model: str | Path, backend: str, options: BackendOptions,
                  say: Callable[[str], None]) -> Predictor:
        """See :class:`Predictor` for parameters and errors; ``say`` is that of the first.

        :param options: with the batch sizes of these engines in place of its own.
        """
        opened = ModelFile.open(model)
        options = replace(options, batch=self.batch, cpu_batch=self._cpu_batch)
        key = opened.path, opened.sha256, backend, options
        with self._lock:  # of two that ask for the same, the second waits for the first
            loaded = self._loaded.get(key)
            if loaded is None:
                loaded = self._loaded[key] = Ladder(opened, backend, options, say)
            return Predictor.on(opened, loaded)
