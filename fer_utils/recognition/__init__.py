"""From a photo or a video to the expressions on its faces: read, detect, classify, track, draw.

It needs neither TensorFlow nor the rest of the study. The server is in `fer_utils.serving`.
"""
