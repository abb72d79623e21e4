"""HTML pages: executed notebooks, the trials of a search, and the index.

Their templates are in `templates/`. Figures are in `fer_utils.plots`.
"""
