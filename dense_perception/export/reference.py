"""A model in PyTorch behind the predictor's interface: the reference every backend is held to."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dense_perception.export.graph import DeployGraph
from dense_perception.inference.backends import BackendError
from dense_perception.inference.card import ModelCard
from dense_perception.inference.predictor import Predictor


class TorchBackend:
    """Runs the deploy graph eagerly, on whatever device the model is.

    :param model: takes float (B, C, H, W), returns a dict, as every registered model does.
    :param card: what the graph makes of it.
    """

    max_batch = concurrency = 1

    def __init__(self, model: nn.Module, card: ModelCard) -> None:
        self._graph = DeployGraph(model, card).eval()
        self._device = next(model.parameters()).device
        self.name = f'torch-{self._device.type}'

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See ``inference.backends.Backend``."""
        tensors = {k: torch.from_numpy(v).to(self._device) for k, v in inputs.items()}
        try:
            with torch.inference_mode():
                outputs = self._graph(**tensors)
        except (RuntimeError, ValueError) as error:
            raise BackendError(f'PyTorch failed on an image: {error}') from None
        return {name: value.float().cpu().numpy() if value.is_floating_point()
                else value.cpu().numpy() for name, value in outputs.items()}


class TorchPredictor(Predictor):
    """A predictor without a model file, for evaluation while a model trains.

    >>> TorchPredictor(*load_weights(folder)).predict(image)

    The model is used as it is, so its training mode is that of evaluation afterwards.
    """

    def __init__(self, model: nn.Module, card: ModelCard) -> None:
        self._serve(card, TorchBackend(model, card))
