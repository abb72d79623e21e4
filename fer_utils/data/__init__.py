"""Faces and the splits they belong to, and where faces come from: one module a source.

What is odd in the data is found in `fer_utils.audits`.
"""
