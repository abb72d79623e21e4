"""Audits of the data: faults in images and labels. Each module is one audit.

duplicates: images that are equal in every pixel, within a split and across splits; leaks.
near_duplicates: the same photo with other pixels.
pictures: brightness, contrast, sharpness, and blank images.
labels, confident, hog_classifier, ceiling: doubtful labels, and the accuracy that they allow.
planted: precision and recall of the audits on planted faults.
summary: all numbers, as `fer-study audit` prints them.
"""
