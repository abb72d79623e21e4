"""The study's notebooks: their names and parameters, a strict runner, their metrics and tables.

HTML pages of executed notebooks are in `fer_utils.reports`, figures in `fer_utils.plots`.
"""

import sys

# nbformat imports jsonschema. That imports this package, if it can, to check a format that no
# notebook uses, and then builds a grammar for a second.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
