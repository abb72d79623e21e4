"""What saved runs tell beyond their scores: mistakes, calibration, robustness, where they look, on whom they fail."""
