"""The page of a search's trials in a browser: brushes select trials, headings sort them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from fer_utils.reports.trials import trials_page
from fer_utils.tuning.ledger import make_ledger

pytestmark = pytest.mark.slow

NAMES = (
    "width",
    "loss",
    "dropout",
    "learning_rate",
    "weight_decay",
    "label_smoothing",
    "augmentation",
)
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.fixture(scope="module")
def ledger() -> pd.DataFrame:
    random, rows = np.random.default_rng(2), []
    for trial in range(1, 21):
        row = {"trial": trial, "seed": 1, "parameters": 9, "run": "r", "curve": []}
        row |= {"epoch_kept": 2, "epochs": 2, "seconds": 2.0}
        row["width"] = float(random.choice([0.75, 1, 1.25]))
        row["loss"] = str(random.choice(["cross_entropy", "squared_hinge"]))
        for name in NAMES[2:]:
            row[name] = float(random.uniform(0.001, 0.1))
        if trial == 4:
            row |= {"status": "failed", "problem": "out of memory", "val_accuracy": None}
        else:
            row |= {"status": "completed", "problem": ""}
            row["val_accuracy"] = float(random.uniform(0.3, 0.6))
        rows.append(row)
    return make_ledger(rows, NAMES)


@pytest.fixture
def opened(visit, browser, ledger, tmp_path):
    """Open the page as a file; `options` are those of the browser context."""
    file = tmp_path / "trials.html"
    file.write_text(trials_page(ledger, NAMES), encoding="utf-8")
    return lambda **options: visit(browser, file.as_uri(), **options)


def visible(page) -> list[int]:
    """The numbers of the trials in the table, in its order."""
    return [int(text) for text in page.locator("tbody tr:visible td.trial").all_inner_texts()]


def drag(page, axis: int, start: float, end: float) -> None:
    """Drag along an axis, from one share of its height to another. 0 is its upper end."""
    box = page.locator("svg .grip").nth(axis).bounding_box()
    x, top, height = box["x"] + box["width"] / 2, box["y"], box["height"]
    page.mouse.move(x, top + start * height)
    page.mouse.down()
    page.mouse.move(x, top + end * height, steps=4)
    page.mouse.up()


def test_arrow_keys_select_as_the_pointer_does(opened, ledger):
    page = opened()
    page.locator("svg .grip").nth(NAMES.index("loss")).focus()
    page.keyboard.press("ArrowDown")  # the upper quarter of the axis
    hinge = ledger[ledger["loss"] == "squared_hinge"]
    assert 0 < len(hinge) < len(ledger) and visible(page) == hinge["trial"].tolist()
    for _ in range(8):
        page.keyboard.press("ArrowDown")
    entropy = ledger[ledger["loss"] == "cross_entropy"]
    assert visible(page) == entropy["trial"].tolist()
    page.keyboard.press("Escape")
    assert visible(page) == ledger["trial"].tolist()


def test_a_brush_selects_the_trials_that_pass_there(opened, ledger):
    page = opened()
    assert visible(page) == ledger["trial"].tolist()
    drag(page, NAMES.index("loss"), 0, 0.2)
    hinge = ledger[ledger["loss"] == "squared_hinge"]
    assert visible(page) == hinge["trial"].tolist()
    assert page.locator("#selection").inner_text() == f"{len(hinge)} of 20 trials"
    assert page.locator("svg path.out").count() == 20 - len(hinge)

    drag(page, len(NAMES), 0, 0.5)  # the upper half of the scores
    middle = (ledger["val_accuracy"].min() + ledger["val_accuracy"].max()) / 2
    both = hinge[hinge["val_accuracy"] > middle]
    assert 0 < len(both) < len(hinge) and visible(page) == both["trial"].tolist()

    page.locator("svg .grip").nth(len(NAMES)).click()
    assert visible(page) == hinge["trial"].tolist(), "a click removes only that brush"
    page.get_by_role("button", name="show all").click()
    assert visible(page) == ledger["trial"].tolist() and not page.locator("#all").is_visible()
    assert page.complaints == []


def test_a_brush_outlasts_a_change_of_the_window(opened, ledger):
    page = opened()
    drag(page, NAMES.index("loss"), 0.8, 1)
    entropy = ledger.loc[ledger["loss"] == "cross_entropy", "trial"].tolist()
    assert visible(page) == entropy
    page.set_viewport_size({"width": 900, "height": 700})
    page.wait_for_function("document.getElementById('lines').getBoundingClientRect().width < 900")
    assert visible(page) == entropy and page.locator("svg .brush:visible").count() == 1


def test_lines_of_one_choice_do_not_coincide(opened, ledger):
    page = opened()
    heights = page.evaluate("rows.map((row) => y(axes.find((axis) => axis.name === 'loss'), row))")
    assert len({round(height, 2) for height in heights}) == len(ledger)
    assert page.locator("svg .tick", has_text="squared hinge").count() == 1
    assert page.locator("svg .tick", has_text="1.25").count() == 1


def test_headings_sort_and_failures_stay_last(opened, ledger):
    page = opened()
    heading = page.locator("th button", has_text="PublicTest")
    for ascending in (True, False):
        heading.click()
        expected = ledger.sort_values("val_accuracy", ascending=ascending)["trial"].tolist()
        assert visible(page) == expected
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_a_hovered_row_marks_its_line_and_describes_its_trial(opened, ledger):
    page = opened()
    page.locator("tbody tr").first.hover()
    best = ledger.iloc[0]
    detail = page.locator("#detail").inner_text()
    assert detail.startswith(f"trial {best['trial']}: {100 * best['val_accuracy']:.2f} %; width ")
    assert page.locator("svg path.on").get_attribute("class") == "best on"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_can_read_it(opened, scheme):
    """Only elements that scroll are wider than the window, and no text is scaled down."""
    page = opened(color_scheme=scheme, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    scale = page.evaluate("document.getElementById('lines').getScreenCTM().a")
    assert scale == pytest.approx(1)
    labels = "[...document.querySelectorAll('svg text:not(.tick)')]"
    boxes = page.evaluate(f"{labels}.map((label) => label.getBoundingClientRect())")
    for left, right in itertools.pairwise(boxes):
        assert left["right"] < right["left"], "labels touch"
    style = "getComputedStyle(document.body)"
    colours = page.evaluate(f"[{style}.color, {style}.backgroundColor]")
    ink, paper = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
    assert (ink > paper) == (scheme == "dark")
