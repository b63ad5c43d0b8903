"""The text a latent diffusion model is conditioned on, embedded once and for all."""

from __future__ import annotations

from pathlib import Path

import torch

from dense_perception.models.checkpoints import CheckpointError


def embedded_text(folder: Path, text: str) -> torch.Tensor:
    """The text encoder's last states for a text, padded to its longest: float32 (1, tokens, D).

    :param folder: of Stable Diffusion, with ``tokenizer`` and ``text_encoder``.
    :raises CheckpointError: they are missing or damaged, or transformers is not installed.
    """
    try:
        from transformers import CLIPTextModel, CLIPTokenizer
    except ModuleNotFoundError:
        raise CheckpointError('the text that the model is conditioned on is embedded by '
                              'transformers, which is not installed: pip install '
                              'transformers') from None
    for part in ('tokenizer', 'text_encoder'):
        if not (folder / part).is_dir():
            raise CheckpointError(f'{folder} has no {part}/, which embeds the text that the model '
                                  'is conditioned on; copy the whole folder from the hub')
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder / 'tokenizer', local_files_only=True)
        encoder = CLIPTextModel.from_pretrained(folder / 'text_encoder', local_files_only=True,
                                                use_safetensors=True, dtype=torch.float32).eval()
        tokens = tokenizer(text, padding='max_length', truncation=True, return_tensors='pt',
                           max_length=encoder.config.max_position_embeddings)
        with torch.no_grad():
            return encoder(tokens.input_ids)[0].clone()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = ' '.join(str(error).split())[:300]
        raise CheckpointError(f'{folder}: its text encoder cannot be used: {reason}') from None
