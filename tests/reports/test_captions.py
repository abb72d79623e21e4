"""Numbers, captions and alternative texts of a report's figures and tables."""

import base64
import io

from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from fer_utils.reports.html import render_html

TABLE = (
    "<table id='T_1'><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
)


def picture(width: int = 8) -> str:
    file = io.BytesIO()
    Image.new("L", (width, 4)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def figure(width: int = 8, **metadata):
    return new_output("display_data", {"image/png": picture(width)}, metadata=metadata)


def page_of(*cells) -> BeautifulSoup:
    """A page. A text is a Markdown cell; outputs, after the metadata of their cell, a code cell."""
    made = [
        new_markdown_cell("# The title", id="t"),
        new_code_cell(
            'split = "PrivateTest"\nseeds = [1, 2]', id="p", metadata={"tags": ["parameters"]}
        ),
    ]
    for number, cell in enumerate(cells):
        if isinstance(cell, str):
            made.append(new_markdown_cell(cell, id=f"m{number}"))
        else:
            metadata, *outputs = cell
            made.append(new_code_cell("x", id=f"c{number}", metadata=metadata, outputs=outputs))
    return BeautifulSoup(render_html(new_notebook(cells=made), "01_explore"), "html.parser")


def captions(soup: BeautifulSoup) -> list[str]:
    return [tag.get_text() for tag in soup.select("figcaption, main .output caption")]


def test_figures_and_tables_are_numbered_apart():
    table = new_output("display_data", {"text/html": TABLE})
    soup = page_of("## First?\n\nSome text.", ({}, table, figure()), "## Second", ({}, figure()))
    expected = ["Table 1. First?", "Figure 1. First?", "Figure 2. Second"]
    assert captions(soup) == expected
    assert [tag["id"] for tag in soup.select("figure")] == ["figure-1", "figure-2"]
    assert soup.select_one("#table-1").parent["id"] == "T_1", "pandas styles a table by its id"


def test_every_table_has_a_caption_also_in_markdown_and_of_parameters():
    soup = page_of("## Recipes\n\n| a | b |\n|---|---|\n| 1 | x |")
    assert [tag.caption.get_text() for tag in soup.select("table")] == [
        "Parameters of this run",
        "Table 1. Recipes",
    ]


def test_a_caption_is_that_of_the_output_then_of_the_cell_then_the_alternative_text():
    soup = page_of(
        "## Heading",
        ({"caption": "Cell"}, figure(caption="Output", alt="alt")),
        ({"caption": "On {split}, seeds {seeds}, {unknown}"}, figure(alt="alt")),
        ({"caption": ["One", "Two"]}, figure(), figure()),
        ({}, figure(alt="A line that rises")),
    )
    assert captions(soup) == [
        "Figure 1. Output",
        "Figure 2. On PrivateTest, seeds 1, 2, {unknown}",
        "Figure 3. One",
        "Figure 4. Two",
        "Figure 5. A line that rises",
    ]


def test_without_a_heading_a_figure_has_the_first_sentence_and_a_table_the_section():
    table = new_output("display_data", {"text/html": TABLE})
    soup = page_of("## Section", "The *curve* rises. **Look for** bends.", ({}, figure(), table))
    assert captions(soup) == ["Figure 1. The curve rises.", "Table 1. Section"]


def test_equal_captions_are_counted():
    soup = page_of("## Maps", ({}, figure(), figure()))
    assert captions(soup) == ["Figure 1. Maps (1 of 2)", "Figure 2. Maps (2 of 2)"]


def test_every_image_has_an_alternative_text():
    soup = page_of(
        "## Which rows?\n\nRows are labels. Columns are predictions. **Look for** dark cells.",
        ({}, figure(), figure(alt="Given")),
    )
    assert [image["alt"] for image in soup.select("img")] == [
        "Which rows? Rows are labels. Columns are predictions.",
        "Given",
    ]


def test_a_picture_keeps_its_place_and_a_wide_plot_says_that_it_scrolls():
    photo = new_output("display_data", {"image/png": picture(900), "image/jpeg": picture(900)})
    soup = page_of("## A", ({}, figure(900), photo, figure(30)))
    assert [(image["width"], image["height"]) for image in soup.select("img")] == [
        ("900", "4"),
        ("900", "4"),
        ("30", "4"),
    ]
    assert [tag.select_one(".hint") is not None for tag in soup.select("figure")] == [
        *(True, False, False)
    ], "a photo is shown whole on a phone"
