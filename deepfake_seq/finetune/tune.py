"""From a face cache to a run directory: split, finetune, calibrate, evaluate, write."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepfake_seq import weights
from deepfake_seq.config import (
    HEADS,
    UNTRAINED,
    BackboneConfig,
    DecisionConfig,
    FinetuneConfig,
    ModelConfig,
    SplitConfig,
    TrainConfig,
)
from deepfake_seq.datasets import REAL
from deepfake_seq.errors import UsageError
from deepfake_seq.extract.backbones import finetuned_weights
from deepfake_seq.extract.backbones.keras import KerasRuntime
from deepfake_seq.extract.backbones.table import Backbone, backbone_of
from deepfake_seq.extract.records.views import require_faces
from deepfake_seq.extract.resolve import ResolvedConfig, resolve_cached
from deepfake_seq.finetune.checkpoint import Checkpoints
from deepfake_seq.finetune.faces import BATCH, FaceData, load_faces, pool_frames
from deepfake_seq.finetune.network import FinetunableCnn, with_input_size
from deepfake_seq.finetune.stream import FrameStream
from deepfake_seq.finetune.trainer import OnBatch, train
from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.experiment import Experiment, LabelledClips, split_clips
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.runs.writer import FitResult, RunContents, require_new, write_run
from deepfake_seq.sequence.training.baselines import evaluate_baselines, evaluate_ensemble
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, TrainedEnsemble, fit_ensemble
from deepfake_seq.sequence.training.train import TrainedNetwork
from deepfake_seq.store import FaceStore

_RANDOM_START_WARNING = (
    "The CNN was trained from random weights, without pretraining: this needs many clips and long "
    "training; otherwise start from pretrained weights.",
)


@dataclass(frozen=True, eq=False)
class FinetuneTask:
    """Everything needed to finetune a CNN: clips, crops, weights and settings.

    Attributes:
        experiment: Clips, split into training, validation and test.
        faces: Crops of the clips.
        resolved: Face settings of the crops, and the CNN to start from.
        row: Table row of the CNN, with the requested input size.
        experiment_config: Head as a sequence model, split and decision settings.
        config: Training settings of CNN and head.
    """

    experiment: Experiment
    faces: FaceData
    resolved: ResolvedConfig
    row: Backbone
    experiment_config: ExperimentConfig
    config: FinetuneConfig

    @property
    def title(self) -> str:
        """Name of the model, such as `inception_v3-dense`."""
        return f"{self.resolved.config.backbone.name}-{self.config.head}"

    @property
    def training(self) -> SequenceData:
        """Training clips."""
        return self.experiment.train

    @property
    def validation(self) -> SequenceData:
        """Validation clips, for the best epoch, the calibration and the threshold."""
        return self.experiment.validation

    @property
    def stream(self) -> FrameStream:
        """Training frames."""
        return FrameStream(self.faces.faces, self.training, self.faces.frames, self.config)

    @property
    def batches(self) -> int:
        """Total number of batches, including the baselines."""
        epochs = self.config.head_epochs + self.config.epochs
        return -(-len(self.experiment.data) // BATCH) + self.stream.batches * epochs

    @property
    def pseudo_fakes(self) -> int:
        """Number of self-blended fakes in an epoch."""
        return self.config.augmentation.self_blend * self.training.counts["real"]

    @property
    def identity(self) -> dict[str, Any]:
        """Values that must be equal for an interrupted training to be resumed."""
        fields = self.resolved.fingerprint.fields
        clips = {
            name: [[clip.key, clip.label] for clip in self.experiment.data.take(positions).clips]
            for name, positions in self.experiment.split.positions.by_name().items()
        }
        return {
            "backbone": fields["backbone"],
            "faces": self.resolved.faces_fingerprint.id,
            "clips": clips,
            **asdict(self.config),
        }


def finetune_experiment(
    config: FinetuneConfig, split: SplitConfig, decision: DecisionConfig
) -> ExperimentConfig:
    """Return the settings of stage 2 that correspond to the finetuning settings."""
    balance = ("weights",) if config.balanced else ()
    training = TrainConfig(
        epochs=max(config.head_epochs + config.epochs, 1),
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        gamma=0.0,
        input_dropout=0.0,
        input_noise=0.0,
        balance=balance,
        members=1,
        seed=config.seed,
        runtime="keras",
    )
    model = ModelConfig(HEADS[config.head], dropout=config.dropout)
    return ExperimentConfig(model, training, split, decision)


def load_task(
    store: FaceStore,
    backbone: BackboneConfig,
    experiment_config: ExperimentConfig,
    config: FinetuneConfig,
) -> FinetuneTask:
    """Find the weights, read the metadata of the clips, and split the clips.

    Raises:
        UsageError: The weights are finetuned already, the input size is too small for the CNN, or
            self-blending needs faces but the store was made without a face detector.
        WeightsError: Weights are missing or damaged.
        DatasetError: There are too few clips, or the split leaks.
        StoreError: A record is damaged.
    """
    start = Path(backbone.weights)
    if backbone.uses_file and (start.is_dir() or finetuned_weights.is_finetuned(start)):
        raise UsageError(
            "finetuning cannot start from a finetuned CNN, because the clips that it was trained "
            "on before would no longer be known. Give --weights other weights. Received: "
            f"--weights {backbone.weights}"
        )
    resolved = resolve_cached(store, backbone)
    require_faces(resolved.config.faces.detector, config.augmentation)
    row = with_input_size(
        backbone.name, backbone_of(backbone.name, resolved.backbone_weights), config.input_size
    )
    faces = load_faces(store, row)
    blends = config.augmentation.self_blend > 0
    pseudo_fakes = [blends and clip.label == REAL for clip in faces.data.clips]
    clips = LabelledClips(faces.data, store, experiment_config.split.seed, has_blocks=False)
    experiment = split_clips(clips, experiment_config.split, pseudo_fakes)
    return FinetuneTask(experiment, faces, resolved, row, experiment_config, config)


def finetune(task: FinetuneTask, folder: Path, on_batch: OnBatch = lambda note: None) -> FitResult:
    """Finetune a CNN, and create its run directory when the run is complete.

    An interrupted training is resumed from its last epoch. The test clips are evaluated once, at
    the end.

    Args:
        task: Clips, crops, weights and settings.
        folder: Run directory to create; until then, checkpoints are in a folder next to it.
        on_batch: Called after each batch with a short note.

    Raises:
        UsageError: `folder` exists already, or the checkpoints belong to another training.
        TrainingError: Training diverged.
        StoreError: A record is damaged.
        RunError: A checkpoint is damaged, or the run cannot be written.
    """
    require_new(folder)
    backbone = task.resolved.config.backbone
    cnn = FinetunableCnn(backbone, task.row, task.resolved.backbone_weights, task.config)
    checkpoints = Checkpoints(folder, {**task.identity, "computed": cnn.computed})
    with checkpoints.locked():
        task.faces.features.cnn = cnn
        frozen = pool_frames(task.experiment.data, lambda: on_batch("baselines"))
        trainer = _CnnTrainer(task, cnn, checkpoints, on_batch)
        pairs = [(task.training, task.validation)]
        ensemble = fit_ensemble(pairs, task.experiment_config, trainer)
        model = _model(task, ensemble, trainer.weights_file)
        contents = _evaluate(task, cnn, ensemble, model, frozen)
        result = write_run(folder, contents, [trainer.weights_file])
        weights_file = folder / finetuned_weights.FILE_NAME
        weights.remember_given(weights_file, weights.digest_of(weights_file))
    checkpoints.remove()
    return result


class _CnnTrainer:
    """A `TrainMember` that trains the CNN behind the features."""

    def __init__(
        self, task: FinetuneTask, cnn: FinetunableCnn, checkpoints: Checkpoints, on_batch: OnBatch
    ) -> None:
        self.weights_file = checkpoints.folder / finetuned_weights.FILE_NAME
        self._task = task
        self._cnn = cnn
        self._checkpoints = checkpoints
        self._on_batch = on_batch

    def __call__(
        self, training: TrainingRows, validation: SequenceData, seed: int
    ) -> TrainedNetwork:
        task, cnn, stream = self._task, self._cnn, self._task.stream
        trained = train(cnn, stream, validation, task.config, self._checkpoints, self._on_batch)
        with self._checkpoints.reporting_write_errors():
            cnn.save_cnn(self.weights_file)
        if cnn.precision != "float32":
            # Calibrated and evaluated in the precision that `predict` uses.
            config = replace(task.resolved.config.backbone, weights=str(self.weights_file))
            task.faces.features.cnn = KerasRuntime(config, self.weights_file)
        if validation.counts["fake"]:
            return trained
        return replace(trained, on_training=self._on_training(trained, stream))

    def _on_training(
        self, trained: TrainedNetwork, stream: FrameStream
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Compute labels and logits of the training clips and of the self-blended fakes."""
        cnn = self._task.faces.features.cnn
        assert cnn
        labels, logits = [], []
        for label, crops in stream.clips():
            features = cnn.features(crops).astype(np.float16)[None]
            mask = np.ones(features.shape[:2], dtype=np.bool_)
            labels.append(label)
            logits.append(float(trained.network.logits((features, mask))[0]))
        return np.array(labels, dtype=np.int64), np.array(logits)


def _evaluate(
    task: FinetuneTask,
    cnn: FinetunableCnn,
    ensemble: TrainedEnsemble,
    model: SequenceModel,
    frozen: SequenceData,
) -> RunContents:
    """Evaluate the model, and baselines on the features of the CNN before finetuning."""
    split = task.experiment.split.positions
    frozen_pairs = [(frozen.take(split.train), frozen.take(split.validation))]
    baseline_metrics: dict[str, Any] = {}
    if ensemble.decision.knows_fakes and all(task.training.counts.values()):
        baseline_metrics = evaluate_baselines(
            frozen_pairs, frozen.take(split.test), task.experiment_config
        )
    scores, metrics = evaluate_ensemble(ensemble, task.experiment.test, baseline_metrics)
    backbone = task.resolved.config.backbone
    return RunContents(
        experiment=task.experiment,
        config=task.experiment_config,
        pairs=[(task.training, task.validation)],
        ensemble=ensemble,
        model=model,
        test_scores=scores,
        metrics=metrics,
        cnn_warnings=_RANDOM_START_WARNING if backbone.weights == UNTRAINED else (),
        parameters=cnn.parameters,
        pseudo_fakes=task.pseudo_fakes,
        notes={
            "finetune": {
                **asdict(task.config),
                "backbone": backbone.name,
                "input_size": task.row.crop_size,
                "start": task.resolved.fingerprint.fields["backbone"]["weights_sha256"],
            }
        },
    )


def _model(task: FinetuneTask, ensemble: TrainedEnsemble, weights_file: Path) -> SequenceModel:
    store = task.experiment.store
    assert isinstance(store, FaceStore)
    config = replace(task.resolved.config.backbone, weights=str(weights_file), precision="float32")
    resolved = resolve_cached(store, config)
    return SequenceModel(
        config=task.experiment_config.model,
        members=ensemble.networks,
        shape=task.experiment.data.features.shape[1:],
        calibration=ensemble.calibration,
        decision=ensemble.decision,
        data=task.experiment.name,
        extract_config=resolved.config,
        fingerprint=resolved.fingerprint,
        title=task.title,
        ranges=resolved.description.ranges,
    )
