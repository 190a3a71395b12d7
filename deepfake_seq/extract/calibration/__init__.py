"""Ranges of values for int8, found once per network from faces that are made here."""

from deepfake_seq.extract.calibration.find import detector_ranges_for, ranges_for

__all__ = ["detector_ranges_for", "ranges_for"]
