"""From a face cache to a run directory: split, fine-tune, calibrate, judge, write."""

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
from deepfake_seq.finetune.faces import BATCH, FaceData, load_faces, pooled
from deepfake_seq.finetune.network import FinetunableCnn, input_row
from deepfake_seq.finetune.stream import FrameStream
from deepfake_seq.finetune.trainer import OnBatch, train
from deepfake_seq.sequence.data.dataset import SequenceData, TrainingRows
from deepfake_seq.sequence.experiment import Experiment, describe_clips, split_clips
from deepfake_seq.sequence.runs.run import SequenceModel
from deepfake_seq.sequence.runs.writer import FitResult, RunContents, require_new, write_run
from deepfake_seq.sequence.training.baselines import evaluate_baselines, evaluate_ensemble
from deepfake_seq.sequence.training.ensemble import ExperimentConfig, TrainedEnsemble, fit_ensemble
from deepfake_seq.sequence.training.train import TrainedNetwork
from deepfake_seq.store import FaceStore

_STARTED_FROM_NOISE = (
    "The CNN started from noise, not from what it had learnt of other images: train it for long, "
    "on many clips, or give it weights.",
)


@dataclass(frozen=True, eq=False)
class Task:
    """What there is to do.

    Attributes:
        experiment: The clips, dealt into parts.
        faces: Their crops.
        resolved: How the crops were found, and the CNN that it starts from.
        row: What this CNN takes and gives.
        recipe: The head as a sequence model, the split and the decision.
        config: How CNN and head are trained.
    """

    experiment: Experiment
    faces: FaceData
    resolved: ResolvedConfig
    row: Backbone
    recipe: ExperimentConfig
    config: FinetuneConfig

    @property
    def title(self) -> str:
        """What people call the model."""
        return f"{self.resolved.config.backbone.name}-{self.config.head}"

    @property
    def training(self) -> SequenceData:
        """The clips to train on."""
        return self.experiment.train

    @property
    def validation(self) -> SequenceData:
        """The clips to stop, calibrate and decide by."""
        return self.experiment.validation

    @property
    def stream(self) -> FrameStream:
        """The frames to train on."""
        return FrameStream(self.faces.faces, self.training, self.faces.frames, self.config)

    @property
    def batches(self) -> int:
        """How many batches there are from the first to the last, those for the baselines too."""
        epochs = self.config.head_epochs + self.config.epochs
        return -(-len(self.experiment.data) // BATCH) + self.stream.batches * epochs

    @property
    def pseudo_fakes(self) -> int:
        """How many self-blended fakes an epoch has."""
        return self.config.augmentation.self_blend * self.training.counts["real"]

    @property
    def identity(self) -> dict[str, Any]:
        """What a training has in common with one that it can go on with."""
        fields = self.resolved.fingerprint.fields
        clips = {
            part: [[clip.key, clip.label] for clip in self.experiment.data.take(positions).clips]
            for part, positions in self.experiment.split.positions.parts().items()
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
    """The settings of stage 2 that go with those of fine-tuning."""
    balance = ("weights",) if config.balanced else ()
    training = TrainConfig(
        epochs=max(config.head_epochs + config.epochs, 1),
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        gamma=0.0,
        balance=balance,
        members=1,
        seed=config.seed,
        runtime="keras",
    )
    model = ModelConfig(HEADS[config.head], dropout=config.dropout)
    return ExperimentConfig(model, training, split, decision)


def prepare(
    store: FaceStore, backbone: BackboneConfig, recipe: ExperimentConfig, config: FinetuneConfig
) -> Task:
    """Find the weights, read what is known of the clips, and deal them into parts.

    Raises:
        UsageError: The CNN was fine-tuned before or cannot take that input size, or there are no
            faces to blend.
        WeightsError: Weights are missing or damaged.
        DatasetError: There is too little to train on, or the split leaks.
        StoreError: A record is damaged.
    """
    start = Path(backbone.weights)
    if backbone.uses_file and (start.is_dir() or finetuned_weights.is_finetuned(start)):
        raise UsageError(
            "fine-tuning starts from weights that have met no clip of yours: of a CNN that was "
            "fine-tuned before, nobody would know any more what it was trained on. Received: "
            f"--weights {backbone.weights}"
        )
    resolved = resolve_cached(store, backbone)
    require_faces(resolved.config.faces.detector, config.augmentation)
    row = input_row(
        backbone.name, backbone_of(backbone.name, resolved.backbone_weights), config.input_size
    )
    faces = load_faces(store, row)
    blends = config.augmentation.self_blend > 0
    pseudo_fakes = [blends and clip.label == REAL for clip in faces.data.clips]
    clips = describe_clips(faces.data, store, recipe.split.seed)
    experiment = split_clips(clips, recipe.split, pseudo_fakes)
    return Task(experiment, faces, resolved, row, recipe, config)


def tune(task: Task, folder: Path, on_batch: OnBatch = lambda note: None) -> FitResult:
    """Fine-tune a CNN and write its run to `folder`, whole or not at all.

    What was interrupted goes on from its last epoch. The test clips are looked at once, when
    everything is decided.

    Args:
        task: What there is to do.
        folder: The run directory to make. Checkpoints are in a folder beside it meanwhile.
        on_batch: Called after each batch with a short note.

    Raises:
        UsageError: `folder` is there already, or there are checkpoints of another training.
        TrainingError: It diverged.
        StoreError: A record is damaged.
        RunError: A checkpoint is damaged, or the run cannot be written.
    """
    require_new(folder)
    backbone = task.resolved.config.backbone
    cnn = FinetunableCnn(backbone, task.row, task.resolved.backbone_weights, task.config)
    checkpoints = Checkpoints(folder, {**task.identity, "computed": cnn.computed})
    with checkpoints.held():
        task.faces.features.cnn = cnn
        frozen = pooled(task.experiment.data, lambda: on_batch("baselines"))
        trainer = _Trainer(task, cnn, checkpoints, on_batch)
        pairs = [(task.training, task.validation)]
        ensemble = fit_ensemble(pairs, task.recipe, trainer)
        model = _model(task, ensemble, trainer.weights_file)
        contents = _contents(task, cnn, ensemble, model, frozen)
        result = write_run(folder, contents, [trainer.weights_file])
        weights_file = folder / finetuned_weights.FILE_NAME
        weights.remember_given(weights_file, weights.digest_of(weights_file))
    checkpoints.remove()
    return result


class _Trainer:
    """See `learning.TrainMember`: trains the CNN of the features that it is given."""

    def __init__(
        self, task: Task, cnn: FinetunableCnn, checkpoints: Checkpoints, on_batch: OnBatch
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
        with self._checkpoints.writing():
            cnn.save_cnn(self.weights_file)
        if cnn.precision != "float32":
            # It is judged in the arithmetic in which it will be used.
            config = replace(task.resolved.config.backbone, weights=str(self.weights_file))
            task.faces.features.cnn = KerasRuntime(config, self.weights_file)
        if validation.counts["fake"]:
            return trained
        return replace(trained, on_training=self._on_training(trained, stream))

    def _on_training(
        self, trained: TrainedNetwork, stream: FrameStream
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Labels and logits of the training clips and of the fakes that are made of them."""
        cnn = self._task.faces.features.cnn
        assert cnn
        labels, logits = [], []
        for label, crops in stream.clips():
            features = cnn.features(crops).astype(np.float16)[None]
            mask = np.ones(features.shape[:2], dtype=np.bool_)
            labels.append(label)
            logits.append(float(trained.network.logits((features, mask))[0]))
        return np.array(labels, dtype=np.int64), np.array(logits)


def _contents(
    task: Task,
    cnn: FinetunableCnn,
    ensemble: TrainedEnsemble,
    model: SequenceModel,
    frozen: SequenceData,
) -> RunContents:
    """The model beside baselines on the features of the CNN as it was before."""
    split = task.experiment.split.positions
    before = [(frozen.take(split.train), frozen.take(split.validation))]
    others: dict[str, Any] = {}
    if ensemble.decision.knows_fakes and all(task.training.counts.values()):
        others = evaluate_baselines(before, frozen.take(split.test), task.recipe)
    scores, metrics = evaluate_ensemble(ensemble, task.experiment.test, others)
    backbone = task.resolved.config.backbone
    return RunContents(
        experiment=task.experiment,
        config=task.recipe,
        pairs=[(task.training, task.validation)],
        ensemble=ensemble,
        model=model,
        test_scores=scores,
        metrics=metrics,
        cnn_warnings=_STARTED_FROM_NOISE if backbone.weights == UNTRAINED else (),
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


def _model(task: Task, ensemble: TrainedEnsemble, weights_file: Path) -> SequenceModel:
    store = task.experiment.store
    assert isinstance(store, FaceStore)
    config = replace(task.resolved.config.backbone, weights=str(weights_file), precision="float32")
    resolved = resolve_cached(store, config)
    return SequenceModel(
        config=task.recipe.model,
        members=ensemble.networks,
        shape=task.experiment.data.features.shape[1:],
        calibration=ensemble.calibration,
        decision=ensemble.decision,
        data=task.experiment.name,
        extract_config=resolved.config,
        fingerprint=resolved.fingerprint,
        title=task.title,
    )
