"""HTML pages of executed notebooks."""

import re
from html.parser import HTMLParser

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from fer_utils.notebooks.parameters import NOTEBOOKS
from fer_utils.reports.html import render_html

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
DECLARED = """\
epochs = 2  # passes over Training; b=64
name = "a=b"  # free text
rates: list = [
    0.1,
]"""


class Page(HTMLParser):
    """The tags of a page and the addresses that it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        address = attributes.get("src") or (attributes.get("href") if tag == "link" else None)
        if address and not address.startswith("data:"):
            self.fetched.append(address)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def rendered(*cells, name: str = "02_replicate") -> str:
    """The page of an executed notebook with a title, the declared parameters and `cells`."""
    title = new_markdown_cell(
        "# A title\n\nGo to [the next](03_tune.ipynb). Costs $a$ <br>", id="t"
    )
    first = new_code_cell(DECLARED, id="p", metadata={"tags": ["parameters"]})
    injected = new_code_cell(
        "# Parameters\nepochs = 9", id="i", metadata={"tags": ["injected-parameters"]}
    )
    return render_html(new_notebook(cells=[title, first, injected, *cells]), name)


def test_page_fetches_nothing_and_links_the_other_pages():
    text = rendered(
        new_code_cell("1 + 1", id="c", outputs=[new_output("execute_result", {"text/plain": "2"})])
    )
    page = Page(text)
    assert page.fetched == []
    assert not re.search(r"url\(|@import|https?://", text)
    links = {attributes["href"] for attributes in page.all("a")}
    home = {"../index.html", "../index.html#glossary"}
    assert links == home | {f"{name}.html" for name in NOTEBOOKS.values()}
    assert [a["href"] for a in page.all("a") if a.get("aria-current")] == ["02_replicate.html"]
    assert "<title>A title</title>" in text
    assert text.count('<details class="code">') == 1


def test_parameters_of_the_run_are_one_table():
    text = rendered()
    assert "<td>epochs</td><td>9</td><td>passes over Training; b=64</td>" in text
    assert '<td>name</td><td>"a=b"</td><td>free text</td>' in text
    assert "# Parameters" not in text


def test_alone_it_links_no_page_beside_it():
    title = new_markdown_cell("# A title\n\nA leak.", id="t")
    first = new_code_cell(DECLARED, id="p", metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[title, first])
    assert Page(render_html(notebook, "02_replicate", alone=True)).all("a") == []
    assert "../index.html#term-leak" in render_html(notebook, "02_replicate")


def test_equal_notebooks_give_equal_bytes():
    outputs = [new_output("display_data", {"image/png": PIXEL})]
    cells = [new_markdown_cell("## A leak\n\nA leak.", id="m")]
    cells.append(new_code_cell("show()", id="c", outputs=outputs))
    assert rendered(*cells) == rendered(*cells)


def test_outputs_of_every_kind_are_shown_and_scripts_are_not():
    outputs = [
        new_output("display_data", {"image/png": PIXEL}, metadata={"alt": 'A "grey" dot'}),
        new_output("display_data", {"image/svg+xml": "<svg/>"}),
        new_output("display_data", {"text/html": "<table class='dataframe'></table>"}),
        new_output("display_data", {"text/markdown": "**bold**"}),
        new_output("display_data", {"application/javascript": "fetch('/x')"}),
        new_output("stream", name="stdout", text="a < b"),
        new_output("stream", name="stderr", text="careful"),
    ]
    text = rendered(new_code_cell("show()", id="c", outputs=outputs))
    described = "A title Go to the next. Costs $a$"
    assert [image["alt"] for image in Page(text).all("img")] == ['A "grey" dot', described]
    for shown in ("class='dataframe'", "<strong>bold</strong>", "a &lt; b", "careful"):
        assert shown.replace("'", '"') in text.replace("'", '"')
    assert "fetch(" not in text
