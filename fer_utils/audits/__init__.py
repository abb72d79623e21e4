"""What is odd in the data, one module an audit.

copies: images that are equal in every pixel, within a usage and across; leaks into the test splits.
near_duplicates: the same photo with other pixels.
pictures: light, contrast, sharpness, and images that show nothing.
labels, confident, light, ceiling: which labels are doubtful, and what they allow a model to score.
planted: precision and recall of the audits where the faults are known.
summary: all figures at once, as `fer-study audit` prints them.
"""
