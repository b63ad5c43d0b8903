"""The numbers of an evaluation as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_DEPTH = (('abs_rel', 'AbsRel'), ('d1', 'd1 (share within 25 %)'), ('rmse', 'RMSE in m'),
          ('si_log', 'SILog'), ('coverage', 'share of the truth with a depth'))
_ALIGNED = {'median': 'after median scaling', 'affine_depth': 'after an affine fit',
            'affine_disparity': 'after an affine fit of 1/depth'}


def markdown(result: dict[str, Any]) -> str:
    """A table of everything that was measured, and the notes."""
    rows = [('model', f'{result["model"]} on {result["backend"]}'),
            ('recording', f'{Path(result["bag"]["path"]).name}, {result["bag"]["images"]} images'),
            *_frames(result), *_depth(result), *_masks(result), *_obstacles(result)]
    lines = ['| quantity | value |', '|---|---|', *(f'| {a} | {b} |' for a, b in rows)]
    if result['notes']:
        lines += ['', *(f'- {note}' for note in result['notes'])]
    return '\n'.join(lines)


def _frames(result: dict[str, Any]) -> list[tuple[str, Any]]:
    frames, latency = result['frames'], result['latency_ms']
    return [('images sent / received / published / dropped', f'{frames["sent"]} / '
             f'{frames["received"]} / {frames["published"]} / {frames["dropped"]}'),
            ('frames compared with a truth', frames['compared']),
            ('latency p50 / p95', f'{latency["p50"]} / {latency["p95"]} ms'),
            ('age p95', f'{result["age_ms"]["p95"]} ms'),
            ('inference p50', f'{result["inference_ms"]["p50"]} ms')]


def _depth(result: dict[str, Any]) -> list[tuple[str, Any]]:
    tables = [('metric depth', result['depth_metric'])]
    tables += [(f'depth {_ALIGNED[name]}', values)
               for name, values in (result['depth_aligned'] or {}).items()]
    return [(f'{title}: {label}', values[key]) for title, values in tables if values
            for key, label in _DEPTH]


def _masks(result: dict[str, Any]) -> list[tuple[str, Any]]:
    masks = result['segmentation']
    if not masks:
        return []
    return [('mIoU', masks['miou']), ('pixel accuracy', masks['pixel_accuracy']),
            *((f'IoU {name}', value) for name, value in masks['iou'].items())]


def _obstacles(result: dict[str, Any]) -> list[tuple[str, Any]]:
    obstacles, grid = result['obstacles'], result['obstacle_grid']
    if not obstacles:
        return []
    where = f'({grid["cell"]:g} m cells within {grid["reach"]:g} m)'
    return [(f'false mark: share of free cells marked {where}',
             f'{_share(obstacles["false_mark"])} of {obstacles["free_cells"]}'),
            (f'false clear: share of obstacle cells missed {where}',
             f'{_share(obstacles["false_clear"])} of {obstacles["occupied_cells"]}')]


def _share(value: float | None) -> str:
    return '-' if value is None else f'{value:.1%}'
