"""False-positive rates that are stated for the conditions of a clip, compared with the true ones.

Clips are distorted between the cells of the grid of `deepseq stress`. The rate of each held-out
fold is stated from the clips of the other folds. The baseline is the one figure that a run states
for all conditions: the false-positive rate on unchanged clips.

    python benchmarks/matched_rates.py                      made-up clips
    python benchmarks/matched_rates.py RUN STORE [WEIGHTS]  the validation clips of a run
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_seq import console, stress
from deepfake_seq.augment.distortions import UNCHANGED, Distortion
from deepfake_seq.config import ExecutionConfig, StressConfig
from deepfake_seq.datasets import REAL, grouped_folds
from deepfake_seq.predict import WeightsOverride
from deepfake_seq.sequence.evaluation.matched import CONDITIONS, ConditionTable
from deepfake_seq.sequence.evaluation.threshold import Decision

FOLDS = 5
OFF_GRID = (
    Distortion("grid", (104.0, 41.0, 0.005)),
    Distortion("grid", (60.0, 0.0, 0.004)),
    Distortion("grid", (0.0, 41.0, 0.0)),
)
"""Face size, CRF and blur between the cells of the grid."""

Result = tuple[str, float, float, float]
"""Name of a distortion, the true rate, the stated rate, and the one figure for all conditions."""

DECISION = Decision(0.5, (0.5, 0.5), "fpr", 0.05, 0.05, {"real": 1, "fake": 1}, True, {})


def made_up(clips: int = 1200) -> Iterator[Result]:
    """Yield the results of made-up clips."""
    generator = np.random.default_rng(0)
    labels = np.arange(clips) % 2
    latent = generator.normal(np.where(labels, 2.0, -2.0), 1.0)
    native = 200 * 2 ** generator.normal(0, 0.25, clips)
    sharp = 0.06 * 2 ** generator.normal(0, 0.4, clips)

    def versions(face: Any, coded: Any) -> tuple[Any, Any]:
        """Return the scores and the conditions of all clips at a face size and a blockiness."""
        small = np.log2(200 / np.minimum(face, native))
        blocks = np.log2((coded + 0.05) / 0.1)
        logit = latent + 0.3 * small + 0.25 * small**2 + blocks - 0.1 * small * blocks
        measured = [
            np.minimum(face, native),
            sharp * 2 ** (0.3 * small),
            coded * 2 ** generator.normal(0, 0.15, clips),
        ]
        return 1 / (1 + np.exp(-logit)), np.column_stack(measured)

    cells = [versions(face, coded) for face in (1e9, 128, 80, 48) for coded in (0.05, 0.15, 0.3)]
    threshold = float(np.quantile(cells[0][0][labels == REAL], 0.95))
    fold = generator.permutation(clips) % FOLDS
    for face, coded in ((104, 0.22), (60, 0.05), (1e9, 0.25), (90, 0.1)):
        scores, conditions = versions(face, coded)
        stated = np.zeros(clips)
        for number in range(FOLDS):
            rest = np.flatnonzero(fold != number)
            table = ConditionTable(
                labels=labels[rest],
                unit=np.arange(len(rest)),
                unchanged=cells[0][0][rest],
                clip=np.tile(np.arange(len(rest)), len(cells)),
                scores=np.concatenate([cell[0][rest] for cell in cells]),
                conditions=np.concatenate([cell[1][rest] for cell in cells]),
            )
            for at in np.flatnonzero((fold == number) & (labels == REAL)):
                stated[at] = stated_rate(table, conditions[at], threshold)
        real = labels == REAL
        name = f"face {'native' if face == 1e9 else face}, blockiness {coded}"
        yield name, (scores >= threshold)[real].mean(), stated[real].mean(), 0.05


def of_run(
    run: Path, store: Path, weights: str | None
) -> Iterator[tuple[str, float, float, float]]:
    """Yield the results of the validation clips of a run."""
    config = StressConfig(clips=10**6, suites=("grid",))
    prepared = stress.prepare(run, store, config, WeightsOverride(backbone=weights))
    clips = tuple(clip for clip in prepared.clips if clip.split == "validation")
    test = replace(prepared, clips=clips, extra=OFF_GRID)
    with console.progress("stress", len(test.missing), "clips") as step:
        stress.compute(test, ExecutionConfig(), step)
    labels = np.array([clip.label for clip in clips])
    folds = grouped_folds(labels.tolist(), [clip.groups for clip in clips], FOLDS, 0)
    threshold = test.model.decision.threshold
    before = stress.scored(test, clips, UNCHANGED)
    global_rate = float((before.scores >= threshold)[before.labels == REAL].mean())
    for distortion in OFF_GRID:
        true, stated = [], []
        for fold in folds:
            table = stress.table_of(test, [clips[at] for at in fold.rest])
            held_out = [clips[at] for at in fold.held_out if clips[at].label == REAL]
            after = stress.scored(test, held_out, distortion)
            for key, score in zip(after.keys, after.scores.tolist(), strict=True):
                result = test.scores.get(key, distortion.name)
                conditions = [getattr(result, name) for name in CONDITIONS]
                true.append(score >= threshold)
                stated.append(stated_rate(table, conditions, threshold))
        yield distortion.name, float(np.mean(true)), float(np.nanmean(stated)), global_rate


def stated_rate(table: ConditionTable, conditions: Any, threshold: float) -> float:
    named = dict(zip(CONDITIONS, conditions, strict=True))
    rate = table.rates(named, threshold, DECISION).real.rate
    return float("nan") if rate is None else rate.value


def main() -> None:
    if len(sys.argv) > 1:
        weights = sys.argv[3] if len(sys.argv) > 3 else None
        results = of_run(Path(sys.argv[1]), Path(sys.argv[2]), weights)
    else:
        results = made_up()
    rows = [["distortion", "true FPR", "stated for the conditions", "one figure for all"]]
    for name, true, stated, overall in results:
        cells = [f"{100 * rate:.1f} % ({100 * (rate - true):+.1f})" for rate in (stated, overall)]
        rows.append([name, f"{100 * true:.1f} %", *cells])
    print(console.table(rows))


if __name__ == "__main__":
    main()
