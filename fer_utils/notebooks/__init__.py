"""The study's notebooks: their names and parameters, a strict runner, their metrics and tables.

HTML pages of executed notebooks are in `fer_utils.reports`, figures in `fer_utils.plots`.
"""
