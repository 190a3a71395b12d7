"""Fine-tuning a CNN on cached faces, the other family of detectors beside the sequence models."""
