"""Render a scene with MuJoCo: colour, metric depth and class labels of one view."""

from __future__ import annotations

import importlib
import math
import os
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from dense_perception.geometry.camera import Intrinsics
from dense_perception.geometry.mount import Mount
from dense_perception.world.classes import SKY
from dense_perception.world.scene import FAR, NEAR, Scene

PLATFORMS = ('egl', 'osmesa')
"""Off-screen OpenGL platforms; the environment variable MUJOCO_GL chooses, EGL is the default."""


class RenderError(RuntimeError):
    """No off-screen OpenGL on this machine; the message says what to install."""


@dataclass(frozen=True)
class View:
    """Where the camera is: metres and radians in the world frame; pitch > 0 looks down.

    ``height`` is above the ground under the camera, which is at z = ``ground``.
    """

    x: float
    y: float
    height: float
    yaw: float
    pitch: float = 0.0
    roll: float = 0.0
    ground: float = 0.0

    @property
    def mount(self) -> Mount:
        """Gravity and height as the robot would know them."""
        return Mount.from_pitch_roll(self.pitch, self.roll, self.height)

    def rotation(self) -> np.ndarray:
        """Columns: the optical frame's x (right), y (down), z (forward) in the world."""
        cp, sp = math.cos(self.pitch), math.sin(self.pitch)
        cy, sy = math.cos(self.yaw), math.sin(self.yaw)
        forward = np.array([cp * cy, cp * sy, -sp])
        level = np.array([sy, -cy, 0.0])
        below = np.cross(forward, level)
        cr, sr = math.cos(self.roll), math.sin(self.roll)
        return np.column_stack([cr * level + sr * below, -sr * level + cr * below, forward])


@dataclass(frozen=True)
class WorldFrame:
    """One rendered view.

    ``image`` uint8 (H, W, 3) RGB; ``depth`` float32 (H, W) metres along z, NaN where sky;
    ``labels`` uint8 (H, W) ids of ``classes.CLASSES``.
    """

    image: np.ndarray
    depth: np.ndarray
    labels: np.ndarray
    intrinsics: Intrinsics
    mount: Mount


class Renderer:
    """Off-screen renderer of one image size; scenes come and go, the OpenGL context stays.

    :raises RenderError: OpenGL cannot be started off-screen.
    """

    def __init__(self, width: int, height: int) -> None:
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._gl = _off_screen(width, height)
        self._context: mujoco.MjrContext | None = None
        self._scene: Scene | None = None

    def close(self) -> None:
        """Free the OpenGL resources."""
        if self._context is not None:
            self._context.free()
            self._context = None
        self._gl.free()

    def load(self, scene: Scene) -> None:
        """Make ``scene`` the one that :meth:`render` shows."""
        if self._context is not None:
            self._context.free()
        model = scene.model
        # MuJoCo's buffers as large as the images: their upkeep costs more than small scenes do.
        model.vis.global_.offwidth = self._rect.width
        model.vis.global_.offheight = self._rect.height
        self._data = mujoco.MjData(model)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._mjv = mujoco.MjvScene(model, maxgeom=model.ngeom + 50)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type, self._camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
        self._scene = scene

    def render(self, view: View, intrinsics: Intrinsics) -> WorldFrame:
        """Render one view of the loaded scene.

        :raises ValueError: the intrinsics are of another size than this renderer.
        """
        width, height = self._rect.width, self._rect.height
        if (intrinsics.width, intrinsics.height) != (width, height):
            raise ValueError(f'intrinsics are for {intrinsics.width}x{intrinsics.height}, the '
                             f'renderer makes {width}x{height}')
        self._aim(view, intrinsics)
        image = np.empty((height, width, 3), np.uint8)
        buffer = np.empty((height, width), np.float32)
        self._draw(False)
        mujoco.mjr_readPixels(image, None, self._rect, self._context)
        codes = np.empty((height, width, 3), np.uint8)
        # Depth is read from this pass: it is drawn without multisampling, at the pixel centres.
        self._draw(True)
        mujoco.mjr_readPixels(codes, buffer, self._rect, self._context)
        labels = self._labels(codes[::-1])
        depth = NEAR / (1.0 - buffer[::-1].astype(np.float64) * (1.0 - NEAR / FAR))
        depth[labels == SKY] = np.nan
        return WorldFrame(np.ascontiguousarray(image[::-1]), depth.astype(np.float32), labels,
                          intrinsics, view.mount)

    def _aim(self, view: View, intrinsics: Intrinsics) -> None:
        model = self._scene.model
        k = intrinsics
        model.cam_sensorsize[0] = 1.0, 1.0
        # MuJoCo's principal point is the offset of the image centre from the optical axis.
        model.cam_intrinsic[0] = (k.fx / k.width, k.fy / k.height,
                                  0.5 - (k.cx + 0.5) / k.width, 0.5 - (k.cy + 0.5) / k.height)
        model.cam_pos[0] = view.x, view.y, view.ground + view.height
        right, down, forward = view.rotation().T
        mujoco.mju_mat2Quat(model.cam_quat[0],
                            np.column_stack([right, -down, -forward]).ravel())
        mujoco.mj_forward(model, self._data)
        mujoco.mjv_updateScene(model, self._data, self._option, None, self._camera,
                               mujoco.mjtCatBit.mjCAT_ALL.value, self._mjv)

    def _draw(self, segmentation: bool) -> None:
        flags = self._mjv.flags
        flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = segmentation
        flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = segmentation
        mujoco.mjr_render(self._rect, self._mjv, self._context)

    def _labels(self, codes: np.ndarray) -> np.ndarray:
        """Class ids from MuJoCo's id colours (code = segment id + 1, 0 = nothing there: sky)."""
        table = np.full(self._mjv.ngeom + 1, SKY, np.uint8)
        user = self._scene.model.geom_user[:, 0]
        for geom in self._mjv.geoms[:self._mjv.ngeom]:
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and geom.segid >= 0:
                table[geom.segid + 1] = user[geom.objid]
        code = codes[..., 0].astype(np.int32)
        code |= codes[..., 1].astype(np.int32) << 8
        code |= codes[..., 2].astype(np.int32) << 16
        return table[np.minimum(code, self._mjv.ngeom)]


def _off_screen(width: int, height: int) -> Any:
    """A current off-screen OpenGL context.

    MuJoCo chooses its platform when it is first imported, which may have been before anyone could
    say "off-screen"; so the platform is asked for by name.
    """
    platform = os.environ.get('MUJOCO_GL', PLATFORMS[0])
    if platform not in PLATFORMS:
        raise RenderError(f'MUJOCO_GL={platform} needs a screen; choose from '
                          f'{", ".join(PLATFORMS)}')
    try:
        context = importlib.import_module(f'mujoco.{platform}').GLContext(width, height)
        context.make_current()
    except Exception as error:  # each OpenGL platform raises its own
        raise RenderError(
            f'MuJoCo cannot start OpenGL off-screen with MUJOCO_GL={platform} ({error}); install '
            'Mesa (apt install libegl1 libgl1-mesa-dri), or libosmesa6 and set MUJOCO_GL=osmesa'
        ) from None
    return context
