"""Analyses of saved runs: errors, calibration, robustness, explanations, and scores by subgroup."""
