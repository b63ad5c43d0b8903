"""Dense-prediction models in PyTorch. ``create_model`` and ``list_models`` are the way in."""

from dense_perception.models._torchvision import declare_torchvision_ops

declare_torchvision_ops()  # before timm is imported anywhere below

# Each system registers its models when it is imported: a new one is one folder and one line here.
from dense_perception.models import cednet, d3, dpt, polymax, xnet  # noqa: E402
from dense_perception.models.registry import (  # noqa: E402
    ModelEntry,
    create_model,
    list_models,
    model_entry,
)

__all__ = ['ModelEntry', 'cednet', 'create_model', 'd3', 'dpt', 'list_models', 'model_entry',
           'polymax', 'xnet']
