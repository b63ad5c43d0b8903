"""A teacher: a network whose predictions the loss ``agreement`` compares with.

It is a trained model (distillation, Hinton et al. 2015) or the run's own moving average (mean
teacher, Tarvainen and Valpola 2017), and may see the images in another view, so that the model
learns to say the same of both. Images need no truth for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dense_perception.export.reopen import open_weights
from dense_perception.export.weights import WeightsError
from dense_perception.inference.model_file import ModelFileError
from dense_perception.models.complexity import input_channels
from dense_perception.models.inputs import InputSpec
from dense_perception_training import cpu
from dense_perception_training.feeding import network_input
from dense_perception_training.recipe import RecipeError, TeacherChoice

Tensors = dict[str, torch.Tensor]


class Teacher:
    """Adds a network's predictions to batches.

    All randomness is torch's global generator, which the trainer seeds by the step.

    :param model: of the same outputs as the model in training; it is put into eval mode.
    :param spec: how it wants its images.
    :param choice: the view that it sees.
    """

    def __init__(self, model: nn.Module, spec: InputSpec, choice: TeacherChoice) -> None:
        self.model, self._spec, self._choice = model.eval(), spec, choice
        self._channels = input_channels(model)

    @torch.no_grad()
    def __call__(self, batch: Tensors) -> Tensors:
        """The batch with ``taught_depth`` (B, H, W) and ``taught_logits`` (B, C, H, W).

        Float, NaN where the teacher did not look; those of both that the model gives.
        """
        view = View.draw(batch['image'].shape[1:3], self._choice)
        seen = view.of(_told_otherwise(_exposed(batch, self._choice), self._choice))
        outputs = self.model(network_input(seen, self._spec, self._channels))
        taught = {}
        if 'depth' in outputs:
            taught['taught_depth'] = view.back(outputs['depth'].float().unsqueeze(1)).squeeze(1)
            if self._channels > 3:  # log(z / h), each with the h it was told
                h, other = (torch.where(b['known'] > 0, b['camera_height'], 1.0)
                            for b in (batch, seen))
                taught['taught_depth'] += torch.log(other / h).view(-1, 1, 1)
        if 'logits' in outputs:
            taught['taught_logits'] = view.back(outputs['logits'].float())
        return {**batch, **taught}


@dataclass(frozen=True)
class View:
    """A window of an image, enlarged to the image's size, and mirrored after that or not."""

    size: tuple[int, int]
    top: int
    left: int
    height: int
    width: int
    mirrored: bool

    @classmethod
    def draw(cls, size: torch.Size, choice: TeacherChoice) -> View:
        """A random view of images of ``size`` (height, width)."""
        draws = torch.rand(5).tolist()
        rows, columns = size
        height, width = (round(side * (choice.zoom + (1 - choice.zoom) * draw))
                         for side, draw in zip(size, draws[:2], strict=True))
        return cls((rows, columns), int(draws[2] * (rows - height + 1)),
                   int(draws[3] * (columns - width + 1)), height, width, draws[4] < choice.flip)

    def of(self, batch: Tensors) -> Tensors:
        """Image (float), intrinsics and gravity of a batch in this view."""
        rows, columns = self.size
        image = batch['image'][:, self.top:self.top + self.height,
                               self.left:self.left + self.width].float().permute(0, 3, 1, 2)
        image = _resized(image, self.size)
        fx, fy, cx, cy = batch['intrinsics'].unbind(1)
        sx, sy = columns / self.width, rows / self.height
        cx, cy = (cx - self.left + 0.5) * sx - 0.5, (cy - self.top + 0.5) * sy - 0.5
        gravity = batch['gravity']
        if self.mirrored:
            image, cx = image.flip(-1), columns - 1 - cx
            gravity = gravity * gravity.new_tensor([-1, 1, 1])
        return {**batch, 'image': image.permute(0, 2, 3, 1), 'gravity': gravity,
                'intrinsics': torch.stack([fx * sx, fy * sy, cx, cy], dim=1)}

    def back(self, values: torch.Tensor) -> torch.Tensor:
        """Predictions (B, C, H, W) of this view where they belong; NaN elsewhere."""
        if self.mirrored:
            values = values.flip(-1)
        whole = values.new_full((*values.shape[:2], *self.size), float('nan'))
        whole[..., self.top:self.top + self.height,
              self.left:self.left + self.width] = _resized(values, (self.height, self.width))
        return whole


def load_teacher(choice: TeacherChoice, model: nn.Module, classes: int,
                 device: torch.device) -> Teacher:
    """The teacher whose weights a recipe names.

    :param model: what it is to teach. :param classes: how many the masks have.
    :raises RecipeError: its folder or file cannot be used, or its outputs mean something else.
    """
    assert choice.weights is not None
    try:
        teacher, card = open_weights(choice.weights)
    except (WeightsError, ModelFileError) as error:
        raise RecipeError(f'teacher.weights: {error}') from None
    if input_channels(teacher) != input_channels(model):
        raise RecipeError(f'teacher.weights {choice.weights} takes {input_channels(teacher)} '
                          f'channels and the model {input_channels(model)}: the depth of one '
                          'is relative to the camera height and that of the other is not')
    if card.classes and len(card.classes) != classes:
        raise RecipeError(f'teacher.weights {choice.weights} has {len(card.classes)} classes, '
                          f'the sources have {classes}')
    if device.type == 'cpu':
        cpu.prepare_model(teacher)
    return Teacher(teacher.to(device), InputSpec(*card.input_size, mean=card.mean, std=card.std,
                                                 brightness=card.brightness),
                   choice)


def _exposed(batch: Tensors, choice: TeacherChoice) -> Tensors:
    """Another gain and offset of each image, as the transform ``exposure`` has them."""
    if not choice.exposure:
        return batch
    image = batch['image']
    gain = torch.exp(choice.exposure * torch.randn(len(image), 1, 1, 1)).to(image.device)
    offset = 255 * 0.5 * choice.exposure * torch.randn(len(image), 1, 1, 1).to(image.device)
    return {**batch, 'image': (image.float() * gain + offset).clamp(0, 255)}


def _told_otherwise(batch: Tensors, choice: TeacherChoice) -> Tensors:
    """Further errors of the mount; where it is withheld it stays so."""
    gravity, height = batch['gravity'], batch['camera_height']
    tilt = torch.deg2rad(choice.angle * torch.randn(gravity.shape)).to(gravity.device)
    stretch = torch.exp(choice.height * torch.randn(height.shape)).to(height.device)
    tilted = F.normalize(gravity + torch.linalg.cross(tilt, gravity), dim=1)
    return {**batch, 'gravity': tilted, 'camera_height': height * stretch}


def _resized(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return (values if tuple(values.shape[-2:]) == size else
            F.interpolate(values, size=size, mode='bilinear', antialias=True))
