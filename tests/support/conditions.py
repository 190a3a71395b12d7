"""Made-up clips whose scores depend on their conditions in a known way."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepfake_seq.sequence.evaluation.matched import ConditionTable

GRID = [(face, coded) for face in (200.0, 120.0, 72.0, 44.0) for coded in (0.05, 0.2, 0.5)]
"""Face sizes and blockiness of the versions of each clip."""


def sigmoid(logits: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(logits)))


def logit_at(latent: Any, face_pixels: Any, blockiness: Any) -> Any:
    """Return the logit of a clip: small and strongly compressed faces look like fakes."""
    small = np.log2(200 / np.asarray(face_pixels))
    coded = np.log2((np.asarray(blockiness) + 0.05) / 0.1)
    return np.asarray(latent) + 0.3 * small + 0.25 * small**2 + 1.2 * coded - 0.1 * small * coded


def latents(labels: Any, generator: np.random.Generator) -> Any:
    return generator.normal(np.where(labels, 2.0, -2.0), 1.0)


def made_up_table(clips: int = 200, seed: int = 0, per_group: int = 1) -> ConditionTable:
    """Return a table of clips, half of them fake, in all versions of `GRID`."""
    generator = np.random.default_rng(seed)
    labels = np.arange(clips) // per_group % 2
    latent = latents(labels, generator)
    clip = np.repeat(np.arange(clips), len(GRID))
    face, coded = (np.tile(values, clips) for values in np.array(GRID).T)
    face = face * 2 ** generator.normal(0, 0.05, len(face))
    coded = coded * 2 ** generator.normal(0, 0.1, len(coded))
    sharp = 0.06 * 2 ** np.repeat(generator.normal(0, 0.3, clips), len(GRID))
    return ConditionTable(
        labels=labels,
        unit=np.arange(clips) // per_group,
        unchanged=sigmoid(logit_at(latent, 200, 0.05)),
        clip=clip,
        scores=sigmoid(logit_at(latent[clip], face, coded)),
        conditions=np.column_stack([face, sharp, coded]),
    )


def conditions(face_pixels: float = 200.0, blockiness: float = 0.05) -> dict[str, float]:
    return {"face_pixels": face_pixels, "sharpness": 0.06, "blockiness": blockiness}
