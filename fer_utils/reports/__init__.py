"""From notebooks to reports: the runner, HTML and its templates, the index page, numbers for DVC.

Figures are drawn in `fer_utils.plots`.
"""
