"""HTML pages of executed notebooks, in the study's style."""

import re
from collections.abc import Mapping
from pathlib import Path

from nbformat import NotebookNode

from fer_utils.notebooks.parameters import NOTEBOOKS, label, read_notebook, used_parameters
from fer_utils.reports.pictures import with_smaller_pictures
from fer_utils.storage import atomic_file

TEMPLATES = Path(__file__).parent / "templates"
SHEETS = ("study.css", "study/report.css")


def write_page(root: Path, name: str) -> Path:
    """Write reports/html/<name>.html from the executed notebook in reports/notebooks.

    Raises:
        StudyError: there is no such executed notebook.
    """
    notebook = read_notebook(root / "reports" / "notebooks" / f"{name}.ipynb")
    page = root / "reports" / "html" / f"{name}.html"
    with atomic_file(page) as file:
        file.write_text(render_html(with_smaller_pictures(notebook), name), encoding="utf-8")
    return page


def render_html(
    notebook: NotebookNode,
    name: str,
    *,
    alone: bool = False,
    footer: Mapping[str, str] | None = None,
) -> str:
    """Render an executed notebook as one HTML page in the study's style. The page fetches nothing.

    Args:
        notebook: executed. A table lists its parameters with the values of the run. The alternative
            text of an image is `alt` in the metadata of its output or its cell.
        name: the notebook's name without suffix. The page links the other notebooks' pages beside
            it and the index one folder up.
        alone: leave these links out, because the page has no others beside it.
        footer: what the page was made from, as names and values.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="study", extra_template_basedirs=[str(TEMPLATES)])
    exporter.exclude_anchor_links = True
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    heading = re.search(r"^# +(.+)$", notebook.cells[0].source, re.M) if notebook.cells else None
    sheets = [(TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in SHEETS]
    study = {
        "name": name,
        "title": heading[1].strip() if heading else label(name),
        "pages": [
            {"name": page, "number": int(page[:2]), "label": label(page)}
            for page in (() if alone else NOTEBOOKS.values())
        ],
        "parameters": used_parameters(notebook),
        "footer": footer or {},
        "css": "\n".join([*sheets, _code_colours()]),
    }
    page, _ = exporter.from_notebook_node(notebook, resources={"study": study})
    # Links between notebooks become links between their pages.
    names = "|".join(NOTEBOOKS.values())
    return re.sub(rf'href="({names})\.ipynb', r'href="\1.html', page)


def _code_colours() -> str:
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="friendly").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    dark = f"@media (prefers-color-scheme: dark) {{\n{dark}\n}}"
    return f"{light}\n{dark}\n.highlight {{ background: var(--raised); }}"
