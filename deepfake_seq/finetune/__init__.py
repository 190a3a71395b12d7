"""Finetune a CNN on cached faces: frame-based detectors, as an alternative to sequence models."""
