"""A rendered report in a browser: paper cuts nothing off, a phone scrolls only wide elements."""

import nbformat
import pandas as pd
import pytest

from fer_utils.reports.html import render_html

pytestmark = pytest.mark.slow

# A4 within the margins of `@page`, in CSS pixels.
PAPER = {"viewport": {"width": 672, "height": 970}}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with a table and a printed line that are wider than a page."""
    table = pd.DataFrame(
        {f"column of scores {i}": ["77.57 ± 1.41 (73.1 to 81.9)"] for i in range(7)}
    )
    shown = nbformat.v4.new_output(
        "display_data", {"text/html": table.style.hide(axis="index").to_html(), "text/plain": ""}
    )
    printed = nbformat.v4.new_output("stream", text="a long line " * 30)
    cell = nbformat.v4.new_code_cell("table", outputs=[shown, printed])
    parameters = nbformat.v4.new_code_cell(
        "epochs = 3  # passes", metadata={"tags": ["parameters"]}
    )
    cells = [nbformat.v4.new_markdown_cell("# A title\n\nIts lead."), parameters, cell]
    file = tmp_path_factory.mktemp("report") / "01_explore.html"
    file.write_text(
        render_html(nbformat.v4.new_notebook(cells=cells), "01_explore"), encoding="utf-8"
    )
    return file


def test_paper_cuts_nothing_off(visit, browser, report):
    page = visit(browser, report.as_uri(), **PAPER)
    cells = "[...document.querySelectorAll('th, td, pre')]"
    ends = f"{cells}.map((cell) => cell.getBoundingClientRect().right)"
    assert max(page.evaluate(ends)) > 672, "the table must scroll on a screen"
    page.emulate_media(media="print")
    assert max(page.evaluate(ends)) <= 672
    assert page.evaluate("document.documentElement.scrollWidth") <= 672


def test_a_phone_scrolls_wide_tables_and_not_the_page(visit, browser, report):
    page = visit(browser, report.as_uri(), viewport={"width": 390, "height": 844}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".html .scroll")
    assert box.evaluate("(box) => box.scrollWidth > box.clientWidth")
    assert page.locator(".html .hint").is_visible()
    assert box.get_attribute("tabindex") == "0", "the keyboard scrolls it too"
