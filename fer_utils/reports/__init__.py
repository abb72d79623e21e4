"""HTML pages: executed notebooks, the trials of a search, and the index.

Their templates are in `templates/`. Figures are in `fer_utils.plots`.
"""

import fer_utils.notebooks  # noqa: F401  Before nbformat: leaves out one of its slow imports.
