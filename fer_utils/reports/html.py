"""HTML pages of executed notebooks, in the study's style."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

from bs4 import BeautifulSoup
from bs4.dammit import EntitySubstitution
from bs4.formatter import HTMLFormatter
from nbformat import NotebookNode

from fer_utils.notebooks.parameters import (
    NOTEBOOKS,
    Parameter,
    label,
    read_notebook,
    used_parameters,
)
from fer_utils.reports.captions import add_captions
from fer_utils.reports.contents import link_headings, list_contents
from fer_utils.reports.glossary import link_terms
from fer_utils.reports.pictures import with_smaller_pictures
from fer_utils.reports.typography import set_numbers, set_tables
from fer_utils.storage import atomic_file

TEMPLATES = Path(__file__).parent / "templates"
SHEETS = ("study.css", "study/report.css")


def write_page(
    root: Path, name: str, folder: Path | None = None, *, footer: Mapping[str, str] | None = None
) -> None:
    """Write <name>.html from the executed notebook in reports/notebooks.

    Args:
        root: the study's folder.
        name: the notebook's name without suffix.
        folder: the folder of the page; None is reports/html.
        footer: as for `render_html`.

    Raises:
        StudyError: there is no such executed notebook.
    """
    notebook = read_notebook(root / "reports" / "notebooks" / f"{name}.ipynb")
    page = render_html(with_smaller_pictures(notebook), name, footer=footer)
    with atomic_file((folder or root / "reports" / "html") / f"{name}.html") as file:
        file.write_text(page, encoding="utf-8")


def render_html(
    notebook: NotebookNode,
    name: str,
    *,
    alone: bool = False,
    footer: Mapping[str, str] | None = None,
) -> str:
    """Render an executed notebook as one HTML page in the study's style. The page fetches nothing.

    Figures and tables are numbered. A figure's caption is the first of these that exists:

    1. `caption` in the metadata of the output, or of its image's type ("image/png"),
    2. `caption` in the metadata of the cell: one text, or a list with one for each figure and table
       of the cell in their order. "{split}" in it is the parameter `split` of this run,
    3. the alternative text of the image,
    4. the heading of the Markdown cell before it, or the first sentence of one without a heading.

    The alternative text is `alt` in the metadata of the output, of its image's type, or of the
    cell; else the caption and the Markdown text before the figure. Tables are captioned alike.

    Args:
        notebook: executed. A table lists its parameters with the values of the run.
        name: the notebook's name without suffix. The page links the other notebooks' pages beside
            it, the index one folder up, and the glossary there.
        alone: leave these links out, because the page has no others beside it.
        footer: what the page was made from, as names and values.

    Returns:
        The page. Equal notebooks give equal pages.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="study", extra_template_basedirs=[str(TEMPLATES)])
    exporter.anchor_link_text = "#"
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    heading = re.search(r"^# +(.+)$", notebook.cells[0].source, re.M) if notebook.cells else None
    sheets = [(TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in SHEETS]
    parameters = used_parameters(notebook)
    study = {
        "name": name,
        "title": heading[1].strip() if heading else label(name),
        "pages": [] if alone else pages(),
        "parameters": parameters,
        "footer": footer or {},
        "css": "\n".join([*sheets, _code_colours()]),
    }
    page, _ = exporter.from_notebook_node(notebook, resources={"study": study})
    # Links between notebooks become links between their pages.
    names = "|".join(NOTEBOOKS.values())
    page = re.sub(rf'href="({names})\.ipynb', r'href="\1.html', page)
    return _finished(page, parameters, index=None if alone else "../index.html")


def _finished(page: str, parameters: list[Parameter], *, index: str | None) -> str:
    """The page with what depends on all of it, which nbconvert's templates do not see."""
    soup = BeautifulSoup(page, "html.parser")
    link_headings(soup)
    list_contents(soup)
    set_tables(soup)
    add_captions(soup, {parameter.name: _text(parameter.value) for parameter in parameters})
    set_numbers(soup)
    if index:
        link_terms(soup, index)
    return soup.decode(
        formatter=HTMLFormatter(
            EntitySubstitution.substitute_xml,
            void_element_close_prefix="",
            empty_attributes_are_booleans=True,
        )
    )


def pages() -> list[dict]:
    """The reports for the bar at the top of a page: name, number, label, and href beside it."""
    return [
        {"name": name, "number": int(name[:2]), "label": label(name), "href": f"{name}.html"}
        for name in NOTEBOOKS.values()
    ]


def _text(source: str) -> str:
    """A parameter's value for a caption: a text without its quotes, a list with commas."""
    try:
        value = ast.literal_eval(source)
    except ValueError:  # an expression
        return source
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _code_colours() -> str:
    from pygments.formatters import HtmlFormatter

    # All colours of these styles have a contrast of at least 4.5 to the code's background.
    light = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    dark = f"@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"
    return f"{light}\n{dark}\n.highlight {{ background: var(--raised); }}"
