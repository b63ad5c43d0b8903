"""What a run leaves to look at: scalars as JSON lines, TensorBoard events, curves as PNG."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

LOG = 'log.jsonl'
CURVES = 'curves.png'


class RunLog:
    """Scalars and pictures of one run, appended to what is there when a run resumes.

    :param folder: the run's folder.
    :param step: where the run stands; lines of later steps (a run that was killed after its last
        checkpoint will make them again) are dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / LOG
        lines = [line for line in read_log(folder) if line['step'] <= step]
        text = ''.join(json.dumps(line) + '\n' for line in lines)
        partial = self._path.with_name(f'{LOG}.partial')
        partial.write_text(text)
        partial.replace(self._path)
        self._file = self._path.open('a')
        self._board = SummaryWriter(str(folder / 'tensorboard'), purge_step=step + 1)

    def scalars(self, step: int, values: Mapping[str, float], prefix: str = 'train') -> None:
        """Log numbers of one step."""
        line = {'step': step, **{f'{prefix}/{k}': float(v) for k, v in values.items()}}
        self._file.write(json.dumps(line) + '\n')
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(f'{prefix}/{name}', value, step)

    def picture(self, step: int, name: str, rgb: np.ndarray) -> None:
        """Log a picture, uint8 (H, W, 3) RGB."""
        self._board.add_image(name, rgb, step, dataformats='HWC')

    def close(self) -> None:
        """Flush everything."""
        self._file.close()
        self._board.close()


def read_log(folder: Path) -> list[dict[str, float]]:
    """The run's log so far; a half-written last line is left out."""
    path = folder / LOG
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def draw_curves(folder: Path) -> Path | None:
    """Every scalar of the log over the steps, as ``curves.png``; None while there is nothing."""
    lines = read_log(folder)
    names = sorted({name for line in lines for name in line if name != 'step'})
    if not names:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.8 * rows), layout='constrained')
    FigureCanvasAgg(figure)
    for index, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        points = [(line['step'], line[name]) for line in lines if name in line]
        axes.plot(*zip(*points, strict=True), linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
    partial = folder / f'{CURVES}.partial.png'
    figure.savefig(partial, dpi=100)
    partial.replace(folder / CURVES)
    return folder / CURVES
