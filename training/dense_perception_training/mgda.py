"""Multiple-gradient descent: weights of several objectives that make none of them worse.

Sener and Koltun, "Multi-Task Learning as Multi-Objective Optimization" (2018): the convex
combination of the objectives' gradients with the least norm, found by Frank-Wolfe.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def min_norm_weights(gram: torch.Tensor, iterations: int = 50) -> torch.Tensor:
    """Weights on the simplex that minimise ``w' G w``.

    :param gram: float (T, T), the inner products of the T gradients.
    :returns: float (T,), not below 0, sum 1.
    """
    count = len(gram)
    weights = gram.new_full((count,), 1.0 / count)
    for _ in range(iterations):
        slope = gram @ weights
        corner = int(slope.argmin())
        # The best step from w towards the corner, in closed form.
        inside = weights @ slope
        across = slope[corner]
        curvature = inside - 2 * across + gram[corner, corner]
        step = ((inside - across) / curvature.clamp(min=1e-20)).clamp(0, 1)
        if step < 1e-6:
            break
        weights = (1 - step) * weights
        weights[corner] += step
    return weights


def gram_of(gradients: Sequence[Sequence[torch.Tensor]]) -> torch.Tensor:
    """Inner products of gradients, each a list of tensors. float (T, T)."""
    return torch.stack([torch.stack([
        sum(((a * b).sum() for a, b in zip(one, other, strict=True)),
            start=one[0].new_zeros(()))
        for other in gradients]) for one in gradients])
