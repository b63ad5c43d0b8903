"""P3M-10k: portraits with mattes."""

from __future__ import annotations

from pathlib import Path

from dense_perception_training.datasets.base import DatasetInfo, Records
from dense_perception_training.datasets.folder import FolderReader, file_rows
from dense_perception_training.datasets.registry import register

_FOLDERS = {'train': ('train', 'blurred_image'),
            'val_p': ('validation/P3M-500-P', 'blurred_image'),
            'val_np': ('validation/P3M-500-NP', 'original_image')}

INFO = DatasetInfo(
    name='p3m10k', tasks=('matting',), splits=tuple(_FOLDERS),
    home='https://github.com/JizhiziLi/P3M', tree="""
train/blurred_image/p_00000.jpg and train/mask/p_00000.png (9421, faces blurred)
validation/P3M-500-P/{blurred_image,mask} (500, faces blurred)
validation/P3M-500-NP/{original_image,mask} (500)""")


@register(INFO)
def open_p3m10k(root: Path, split: str) -> Records:
    """Open the images of a split; mattes are grey, 255 = foreground."""
    folder, images = _FOLDERS[split]
    return Records(INFO, file_rows(root, INFO, image=f'{folder}/{images}/*',
                                   alpha=f'{folder}/mask/*'), FolderReader())
