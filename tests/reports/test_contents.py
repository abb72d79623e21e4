"""Permalinks and the contents list of a report."""

from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from fer_utils.reports.html import render_html

SECTIONS = ["## How *large*?", "## Same", "### Detail", "## Same"]


def page_of(*sections) -> BeautifulSoup:
    cells = [
        new_markdown_cell("# The title", id="t"),
        new_code_cell("a = 1", id="p", metadata={"tags": ["parameters"]}),
        *(new_markdown_cell(text, id=f"m{number}") for number, text in enumerate(sections)),
    ]
    card = new_output("display_data", {"text/markdown": "## Same\n\nA card."})
    cells.append(new_code_cell("card", id="c", outputs=[card]))
    return BeautifulSoup(render_html(new_notebook(cells=cells), "01_explore"), "html.parser")


def test_ids_are_unique_and_each_heading_below_the_title_links_itself():
    soup = page_of(*SECTIONS)
    ids = [tag["id"] for tag in soup.select("[id]")]
    assert len(ids) == len(set(ids))
    headings = soup.select("main :is(h2, h3)")
    assert len(headings) == 5
    for heading in headings:
        (link,) = heading.select("a")
        assert link["href"] == f"#{heading['id']}" and link["aria-label"]
    assert soup.h1["id"] and not soup.h1.select("a")


def test_contents_list_is_that_of_the_notebooks_sections():
    soup = page_of(*SECTIONS)
    entries = [(link.get_text(), link["href"]) for link in soup.select(".contents a")]
    assert entries == [
        ("How large?", "#How-large?"),
        ("Same", "#Same"),
        ("Same", "#Same-2"),
    ], "headings of outputs and subsections are not listed"
    targets = {f"#{tag['id']}" for tag in soup.select("h2")}
    assert targets >= {href for _, href in entries}


def test_one_section_needs_no_contents_list():
    assert page_of("## Only").select(".contents") == []
