"""Whether leaving out the most novel clips makes the verdicts on the others better.

Models are trained without one source (or one fold of people) and tested on it. Test clips are
ordered by novelty, and the error rate of the verdicts is printed for the least novel part of them:
the risk at each coverage. The floor is what the model's own confidence achieves (distance of the
score from the threshold), the baseline is leaving out clips at random. A measure of novelty that
helps is below the baseline.

    python benchmarks/novelty.py STORE [MODEL] [SEEDS]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepfake_seq import console
from deepfake_seq.config import ModelConfig
from deepfake_seq.datasets import FAKE
from deepfake_seq.errors import UsageError
from deepfake_seq.sequence.cross_validation import Round, rounds
from deepfake_seq.sequence.data.dataset import SequenceData
from deepfake_seq.sequence.evaluation.novelty import NoveltyScore
from deepfake_seq.sequence.experiment import load_clips
from deepfake_seq.sequence.training.autoencoder import fit_autoencoder
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, fit_ensemble
from deepfake_seq.store import FeatureStore, open_store

COVERAGES = (1.0, 0.9, 0.75, 0.5)
FOLDS = 5
Floats = npt.NDArray[np.float64]


def tested(current: Round, config: ExperimentConfig) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Return which verdicts on the test clips are wrong, (N,), and three measures, (3, N).

    A higher measure is left out earlier: the novelty of runs, the residual of an autoencoder, and
    the lack of confidence.
    """
    test, seeded = current.test, replace(config.train, seed=current.seed)
    ensemble = fit_ensemble(current.pairs, replace(config, train=seeded))
    novelty, (training, validation) = NoveltyScore.fit(current.pairs), current.pairs[0]
    autoencoder, _, _ = fit_autoencoder(training, validation, seeded, lambda epoch, row: None)
    scores, threshold = ensemble.scores(test), ensemble.decision.threshold
    logits, limit = (np.log(p / (1 - p)) for p in (scores.clip(1e-9, 1 - 1e-9), threshold))
    measures = [
        [-novelty.of(next(test.take(np.array([at])).batches())).p for at in range(len(test))],
        np.concatenate([autoencoder.logits(batch) for batch in test.batches()]),
        -np.abs(logits - limit),
    ]
    return (scores >= threshold) != (test.labels == FAKE), np.array(measures)


def risks(wrong: npt.NDArray[np.bool_], measure: Floats) -> list[str]:
    """Return the mean risk over all coverages, and the risk at each of `COVERAGES`."""
    curve = np.cumsum(wrong[np.argsort(measure, kind="stable")]) / np.arange(1, len(wrong) + 1)
    at = [curve[max(round(len(curve) * coverage), 1) - 1] for coverage in COVERAGES]
    return [f"{curve.mean():.3f}", *(f"{value:.3f}" for value in at)]


def report(title: str, results: list[tuple[npt.NDArray[np.bool_], Floats]]) -> None:
    """Print the risks of all rounds together."""
    wrong = np.concatenate([part for part, _ in results])
    measures = np.concatenate([part for _, part in results], axis=1)
    names = ("novelty p-value of runs", "residual of an autoencoder", "confidence (floor)")
    rows = [[title, "mean risk", *(f"coverage {coverage:g}" for coverage in COVERAGES)]]
    rows += [[name, *risks(wrong, row)] for name, row in zip(names, measures, strict=True)]
    rows.append(["at random (baseline)", *[f"{wrong.mean():.3f}"] * (1 + len(COVERAGES))])
    print(console.table(rows), flush=True)


def main() -> None:
    """Print the risks with sources and with people held out."""
    store = open_store(Path(sys.argv[1]))
    if not isinstance(store, FeatureStore):
        raise UsageError(f"{sys.argv[1]} must be a feature store")
    model = sys.argv[2] if len(sys.argv) > 2 else "logistic"
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    data: SequenceData = load_clips(store, 0).data
    config = ExperimentConfig(model=ModelConfig(name=model))
    for title, folds, leave_out in (
        ("sources held out", 0, "source"),
        ("people held out", FOLDS, ""),
    ):
        found = [tested(one, config) for one in rounds(data, config, folds, seeds, leave_out)]
        report(f"{model}, {title}", found)


if __name__ == "__main__":
    main()
