"""Options of stage 2 that `fit`, `sweep` and `finetune` share."""

from __future__ import annotations

from deepfake_seq.commands.options import options_of
from deepfake_seq.config import DecisionConfig, SplitConfig, TrainConfig

TRAINING = "Training"

duration_options = options_of(TrainConfig, "epochs", "patience", heading=TRAINING)
min_epochs_option = options_of(TrainConfig, "min_epochs", heading=TRAINING)
balance_options = options_of(TrainConfig, "balance", "members", heading=TRAINING)
pseudo_fakes_option = options_of(TrainConfig, "pseudo_fakes", heading=TRAINING)
trainer_option = options_of(TrainConfig, "runtime", heading=TRAINING)
split_options = options_of(
    SplitConfig, "strategy", "allow_shared", "validation", "test", heading="Split"
)
decision_options = options_of(DecisionConfig, "threshold", "target_fpr", heading="Threshold")
