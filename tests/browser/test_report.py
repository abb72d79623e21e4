"""A rendered report in a browser: on paper, on a phone, beside its contents, light and dark."""

import base64
import io

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_utils import plots
from fer_utils.data.sample import draw_sample
from fer_utils.evaluation import probabilities
from fer_utils.reports.html import render_html
from fer_utils.reports.index import write_index

pytestmark = pytest.mark.slow

# A4 within the margins of `@page`, in CSS pixels.
PAPER = {"viewport": {"width": 672, "height": 970}}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with a table, a printed line and a plot that are wider than a page, and a photo."""
    table = pd.DataFrame(
        {f"column of scores {i}": ["77.57 ± 1.41 (73.1 to 81.9)"] for i in range(7)}
    )
    shown = nbformat.v4.new_output(
        "display_data", {"text/html": table.style.hide(axis="index").to_html(), "text/plain": ""}
    )
    printed = nbformat.v4.new_output("stream", text="a long line " * 30)
    file = io.BytesIO()
    Image.new("L", (1000, 500)).save(file, "PNG")
    picture = {"image/png": base64.b64encode(file.getvalue()).decode()}
    plot = nbformat.v4.new_output("display_data", picture)
    photo = nbformat.v4.new_output("display_data", picture | {"image/jpeg": picture["image/png"]})
    cell = nbformat.v4.new_code_cell(
        "table = [1]  # a comment", outputs=[shown, printed, plot, photo]
    )
    parameters = nbformat.v4.new_code_cell(
        "epochs = 3  # passes", metadata={"tags": ["parameters"]}
    )
    texts = ["# A title\n\nIts lead.", "## First\n\nA leak.", "## Second\n\n> A quote."]
    title, *sections = [nbformat.v4.new_markdown_cell(text) for text in texts]
    cells = [title, parameters, *sections, cell]
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
    for plot in page.locator("figure.plot").all():
        assert plot.locator(".hint").is_visible()
    photo = page.locator("figure.photo img").bounding_box()
    assert photo["x"] >= 0 and photo["x"] + photo["width"] <= 390, "a photo is shown whole"


@pytest.mark.parametrize("script", [True, False])
def test_contents_stand_beside_the_text_of_a_wide_window(visit, browser, report, script):
    wide = {"viewport": {"width": 1200, "height": 800}, "java_script_enabled": script}
    page = visit(browser, report.as_uri(), **wide)
    contents = page.locator(".contents")
    assert contents.locator("a").first.is_visible()
    box, text = contents.bounding_box(), page.locator("main").bounding_box()
    assert box["x"] + box["width"] <= text["x"]
    for element in page.locator("figure, .html").all():
        place = element.bounding_box()
        assert place["x"] >= box["x"] + box["width"], "no figure covers the contents"
        assert place["x"] + place["width"] <= 1200
    narrow = {"viewport": {"width": 820, "height": 800}, "java_script_enabled": script}
    page = visit(browser, report.as_uri(), **narrow)
    assert not page.locator(".contents a").first.is_visible()
    page.locator(".contents summary").click()
    assert page.locator(".contents a").first.is_visible()


def test_keyboard_shows_and_follows_a_permalink(visit, browser, report):
    page = visit(browser, report.as_uri())
    link = page.locator("#Second .anchor-link")
    assert link.evaluate("(link) => getComputedStyle(link).opacity") == "0"
    page.locator("#First .anchor-link").focus()
    page.keyboard.press("Tab")  # the term "leak"
    page.keyboard.press("Tab")
    assert link.evaluate("(link) => getComputedStyle(link).opacity") == "1"
    page.keyboard.press("Enter")
    assert page.url.endswith("#Second")


@pytest.mark.parametrize("script", [True, False])
def test_paper_is_light_and_shows_the_parameters(visit, browser, report, script):
    page = visit(browser, report.as_uri(), color_scheme="dark", java_script_enabled=script, **PAPER)
    assert not page.locator(".parameters td").first.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(".parameters td").first.is_visible()
    style = "(tag) => getComputedStyle(tag)"
    assert page.locator("body").evaluate(f"{style}.backgroundColor") == "rgb(255, 255, 255)"
    for heading in page.locator("h2").all():
        assert heading.evaluate(f"{style}.breakAfter") == "avoid"
    for figure in page.locator("figure").all():
        assert figure.evaluate(f"{style}.breakInside") == "avoid"
    assert not page.locator(".code").first.is_visible()


@pytest.fixture(scope="module")
def touched(tmp_path_factory):
    """A report with the threshold slider and the confusion matrix, and the faces behind them."""
    faces = draw_sample(210, seed=3)
    logits = np.random.default_rng(2).normal(size=(len(faces), 7))
    shares = probabilities(logits)
    matrix = plots.confusion_examples(faces, logits, show_faces=True)
    slider = plots.threshold_slider(shares, faces.emotion, 0.5)
    outputs = [
        nbformat.v4.new_output("display_data", {"text/html": widget.data})
        for widget in (matrix, slider)
    ]
    parameters = nbformat.v4.new_code_cell("a = 1  # b", metadata={"tags": ["parameters"]})
    cells = [nbformat.v4.new_markdown_cell("# A title"), parameters]
    cells.append(nbformat.v4.new_code_cell("show()", outputs=outputs))
    file = tmp_path_factory.mktemp("touched") / "05_analyse_errors.html"
    page = render_html(nbformat.v4.new_notebook(cells=cells), "05_analyse_errors")
    file.write_text(page, encoding="utf-8")
    return file, len(faces), (shares.max(axis=1) >= 0.51).sum()


def test_keyboard_moves_the_threshold(visit, browser, touched):
    file, images, kept = touched
    page = visit(browser, file.as_uri())
    page.locator("#threshold input").focus()
    page.keyboard.press("ArrowRight")
    assert f"Threshold 0.51: {kept} of {images} " in page.locator("#threshold output").inner_text()


def test_keyboard_opens_examples_of_a_cell(visit, browser, touched):
    file, _, _ = touched
    page = visit(browser, file.as_uri(), viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    button = page.locator("#examples button").nth(15)
    button.focus()
    page.keyboard.press("Enter")
    title = page.locator("#examples p").inner_text()
    assert title.startswith(f"Label fear, prediction disgust: {button.inner_text()} images.")
    shown = page.locator("#examples li img")
    assert shown.count() > 0 and shown.first.evaluate("(image) => image.naturalWidth") == 48


def test_without_javascript_and_on_paper_nothing_asks_to_be_touched(visit, browser, touched):
    page = visit(browser, touched[0].as_uri(), java_script_enabled=False)
    assert not page.locator(".touch:visible").count()
    page = visit(browser, touched[0].as_uri())
    assert page.locator(".touch:visible").count() == 2
    page.emulate_media(media="print")
    assert not page.locator(".touch:visible").count()


CONTRASTS = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [.2126, .7152, .0722][k], 0);
  const behind = (tag) => {
    for (; tag; tag = tag.parentElement) {
      const colour = parse(getComputedStyle(tag).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
  const found = {};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const tag = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
    if (!text || !tag.checkVisibility() || tag.closest("script, style, .anchor-link")) continue;
    const style = getComputedStyle(tag);
    const pair = [light(parse(style.color)), light(behind(tag))].sort((a, b) => b - a);
    found[text.slice(0, 40)] = [(pair[0] + .05) / (pair[1] + .05), Number(style.opacity)];
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["report", "index"])
def test_text_has_contrast(visit, browser, report, tmp_path, which, scheme):
    file = report if which == "report" else tmp_path / "index.html"
    if which == "index":
        write_index(file, root=tmp_path)
    page = visit(browser, file.as_uri(), color_scheme=scheme)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 15
    assert {text: found for text, found in contrasts.items() if found[0] < 4.5} == {}
    assert {opacity for _, opacity in contrasts.values()} == {1}
