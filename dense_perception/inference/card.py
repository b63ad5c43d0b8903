"""The model card: what a model file says about itself, and the only thing node and trainer share.

The card is JSON in the ONNX metadata property ``dense_perception.card``. Its schema is versioned;
a file whose card is missing, unreadable or of another schema version is refused with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

METADATA_KEY = 'dense_perception.card'
SCHEMA_VERSION = 1

UNLABELLED = 255
"""Class id that stands for "no label" in every mask (mono8), never a class of a card."""

DEPTH_CONVENTIONS = ('metric', 'inverse_affine', 'affine')
RESIZE_RULES = ('stretch', 'minimal', 'lower_bound', 'upper_bound')
INTERPOLATIONS = ('linear', 'cubic')
MOUNT_USES = ('none', 'optional')

# Tensor names and layouts of the graph; B is always 1 today.
INPUT_IMAGE = 'image'  # uint8 (B, H, W, 3), RGB
INPUT_INTRINSICS = 'intrinsics'  # float32 (B, 4): fx, fy, cx, cy in pixels of the H x W image
INPUT_GRAVITY = 'gravity'  # float32 (B, 3): unit vector along gravity, optical frame
INPUT_CAMERA_HEIGHT = 'camera_height'  # float32 (B,): metres above ground; <= 0 = mount unknown
OUTPUT_DEPTH = 'depth'  # float32 (B, H, W): along z; metres if metric; NaN = unknown
OUTPUT_LABELS = 'labels'  # uint8 (B, H, W): class id
OUTPUT_CONFIDENCE = 'confidence'  # uint8 (B, H, W): round(255 * probability of the label)
OUTPUT_NORMALS = 'normals'  # float32 (B, H, W, 3): unit vector out of the surface; NaN = unknown
OUTPUT_ALPHA = 'alpha'  # float32 (B, H, W): opacity of the foreground, 0..1

MOUNT_INPUTS = (INPUT_INTRINSICS, INPUT_GRAVITY, INPUT_CAMERA_HEIGHT)


class CardError(ValueError):
    """A model card that cannot be used; the message says which field and what would be right."""


@dataclass(frozen=True)
class ClassInfo:
    """One semantic class: its id in the mask, its name, its display colour (RGB, 0..255)."""

    id: int
    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class ModelCard:
    """Everything the robot needs to know about a model file beyond its graph.

    ``depth_convention`` is ``metric`` (metres along z), ``affine`` (depth up to scale and shift),
    ``inverse_affine`` (disparity up to scale and shift) or None without a depth output.
    ``mount`` is ``optional`` if the graph takes intrinsics, gravity and camera height: its depth
    is metric when all three are given and relative (up to one scale) when the height is 0.
    ``variant`` and ``options`` are name and overrides of the registered model. ``resize`` and
    ``resize_target`` (height, width) say how the model's training chose the network size for an
    image, see ``inference.resize``; the graph itself has one size. ``interpolation`` is ``linear``
    (averaging when it shrinks) or ``cubic``. ``mean``, ``std`` and ``brightness`` (the mean that
    the graph's tone curve brings each image to, None without one) are in the graph already.
    """

    name: str
    system: str
    variant: str
    tasks: tuple[str, ...]
    input_height: int
    input_width: int
    outputs: tuple[str, ...]
    size_multiple: int = 32
    resize: str = 'stretch'
    resize_target: tuple[int, int] | None = None
    interpolation: str = 'linear'
    colour_order: str = 'rgb'
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    brightness: float | None = None
    depth_convention: str | None = None
    depth_range: tuple[float, float] | None = None
    canonical_focal: float | None = None
    mount: str = 'none'
    classes: tuple[ClassInfo, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    training_data: str = ''
    commit: str = ''
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ''
    weights_sha256: str = ''
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        def demand(ok: bool, problem: str) -> None:
            if not ok:
                raise CardError(f'model card of "{self.name}": {problem}')

        demand(bool(self.name and self.system), 'name and system must not be empty')
        demand(self.input_height > 0 and self.input_width > 0,
               f'input size {self.input_height}x{self.input_width} is not positive')
        demand(self.size_multiple > 0
               and self.input_height % self.size_multiple == 0
               and self.input_width % self.size_multiple == 0,
               f'input size {self.input_height}x{self.input_width} is not a multiple of '
               f'{self.size_multiple}')
        demand(self.resize in RESIZE_RULES,
               f'resize rule "{self.resize}" is unknown; known: {", ".join(RESIZE_RULES)}')
        demand((self.resize == 'stretch') == (self.resize_target is None),
               f'resize rule "{self.resize}" and resize_target {self.resize_target} do not fit: '
               'all rules but "stretch" have a target (height, width)')
        demand(self.interpolation in INTERPOLATIONS,
               f'interpolation "{self.interpolation}" is unknown; known: '
               f'{", ".join(INTERPOLATIONS)}')
        demand(self.colour_order == 'rgb',
               f'colour order "{self.colour_order}" is not supported; export with "rgb"')
        # A focal length that nobody applies would make every depth wrong by a factor.
        demand(self.canonical_focal is None,
               'canonical_focal is not applied by this release; export with it folded into the '
               'graph')
        demand(self.brightness is None or 0 < self.brightness < 1,
               f'brightness {self.brightness} is not between 0 and 1')
        demand(self.mount in MOUNT_USES,
               f'mount "{self.mount}" is unknown; known: {", ".join(MOUNT_USES)}')
        known = (OUTPUT_DEPTH, OUTPUT_LABELS, OUTPUT_CONFIDENCE, OUTPUT_NORMALS, OUTPUT_ALPHA)
        unknown = sorted(set(self.outputs) - set(known))
        demand(bool(self.outputs) and not unknown,
               f'outputs {list(self.outputs)} must be chosen from {list(known)}')
        if OUTPUT_DEPTH in self.outputs:
            demand(self.depth_convention in DEPTH_CONVENTIONS,
                   f'depth_convention "{self.depth_convention}" is unknown; '
                   f'known: {", ".join(DEPTH_CONVENTIONS)}')
        if self.depth_range is not None:
            demand(len(self.depth_range) == 2 and 0 <= self.depth_range[0] < self.depth_range[1],
                   f'depth_range {self.depth_range} must be (near, far) in metres, near < far')
        if OUTPUT_LABELS in self.outputs:
            ids = [c.id for c in self.classes]
            demand(bool(ids) and len(set(ids)) == len(ids)
                   and all(0 <= i < UNLABELLED for i in ids),
                   f'a model with labels needs classes with distinct ids 0..{UNLABELLED - 1}')

    @property
    def input_size(self) -> tuple[int, int]:
        """Network input size as (height, width)."""
        return self.input_height, self.input_width

    @property
    def takes_mount(self) -> bool:
        """True if the graph has the intrinsics, gravity and camera-height inputs."""
        return self.mount != 'none'

    def to_json(self) -> str:
        """Serialise for the ONNX metadata property."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Parse and check a card.

        :raises CardError: not JSON, wrong schema version, missing or unknown fields, bad values.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise CardError(f'model card is not valid JSON ({error})') from None
        if not isinstance(raw, dict):
            raise CardError('model card is not a JSON object')
        version = raw.get('schema_version')
        if version != SCHEMA_VERSION:
            raise CardError(f'model card has schema version {version}, this release reads '
                            f'{SCHEMA_VERSION}; export the model again with this release')
        names = {f.name for f in fields(cls)}
        required = {'name', 'system', 'variant', 'tasks', 'input_height', 'input_width', 'outputs'}
        missing, unknown = sorted(required - raw.keys()), sorted(raw.keys() - names)
        if missing or unknown:
            raise CardError(f'model card: missing fields {missing}, unknown fields {unknown}')
        try:
            raw['classes'] = tuple(
                ClassInfo(int(c['id']), str(c['name']), _colour(c['colour']))
                for c in raw.get('classes', ()))
            for key in ('tasks', 'outputs', 'mean', 'std', 'depth_range', 'resize_target'):
                if raw.get(key) is not None:
                    raw[key] = tuple(raw[key])
            return cls(**raw)
        except CardError:
            raise
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise CardError(f'model card has a field of the wrong type: {error!r}') from None


def _colour(value: Any) -> tuple[int, int, int]:
    red, green, blue = value
    return int(red), int(green), int(blue)
