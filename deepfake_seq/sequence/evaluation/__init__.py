"""Metrics, confidence intervals, calibration and the decision threshold."""
