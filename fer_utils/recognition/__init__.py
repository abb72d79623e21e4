"""From a photo or a video to the expressions of its faces: read, detect, classify, track, draw.

This package needs neither TensorFlow nor the rest of the study. The server is `fer_utils.serving`.
"""
