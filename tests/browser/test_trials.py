"""The page of a search's trials in a browser: brushes keep trials, headings sort them, and a phone can read it."""

import itertools

import numpy as np
import pandas as pd
import pytest

from fer_utils.tuning.ledger import make_ledger
from fer_utils.reports.trials import trials_page

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
        row = {
            "trial": trial,
            "seed": 1,
            "width": float(random.choice([0.75, 1, 1.25])),
            "parameters": 9,
            "run": "r",
        }
        row |= {
            "loss": str(random.choice(["cross_entropy", "squared_hinge"])),
            "epoch_kept": 2,
            "epochs": 2,
        }
        row |= {name: float(random.uniform(0.001, 0.1)) for name in NAMES[2:]} | {
            "seconds": 2.0,
            "curve": [],
        }
        works = trial != 4
        row |= {
            "status": "completed" if works else "failed",
            "problem": "" if works else "out of memory",
        }
        rows.append(row | {"val_accuracy": float(random.uniform(0.3, 0.6)) if works else None})
    return make_ledger(rows, NAMES)


@pytest.fixture
def opened(visit, browser, ledger, tmp_path):
    """Opens the page, as a file; `options` are the context's."""
    file = tmp_path / "trials.html"
    file.write_text(trials_page(ledger, NAMES), encoding="utf-8")
    return lambda **options: visit(browser, file.as_uri(), **options)


def kept(page) -> list[int]:
    """The trials that the table shows, in its order."""
    return [int(text) for text in page.locator("tbody tr:visible td.trial").all_inner_texts()]


def drag(page, axis: int, start: float, end: float) -> None:
    """Along an axis, from one share of its height to another, 0 at its upper end."""
    box = page.locator("svg .grip").nth(axis).bounding_box()
    x, top, height = box["x"] + box["width"] / 2, box["y"], box["height"]
    page.mouse.move(x, top + start * height)
    page.mouse.down()
    page.mouse.move(x, top + end * height, steps=4)
    page.mouse.up()


def test_a_brush_keeps_the_trials_that_pass_there(opened, ledger):
    page = opened()
    assert kept(page) == ledger["trial"].tolist()
    drag(page, NAMES.index("loss"), 0, 0.2)
    hinge = ledger[ledger["loss"] == "squared_hinge"]
    assert kept(page) == hinge["trial"].tolist()
    assert page.locator("#said").inner_text() == f"{len(hinge)} of 20 trials"
    assert page.locator("svg path.out").count() == 20 - len(hinge)

    drag(page, len(NAMES), 0, 0.5)  # and the upper half of the scores
    middle = (ledger["val_accuracy"].min() + ledger["val_accuracy"].max()) / 2
    both = hinge[hinge["val_accuracy"] > middle]
    assert 0 < len(both) < len(hinge) and kept(page) == both["trial"].tolist()

    page.locator("svg .grip").nth(len(NAMES)).click()
    assert kept(page) == hinge["trial"].tolist(), "a click lifts that brush, and no other"
    page.get_by_role("button", name="keep all").click()
    assert kept(page) == ledger["trial"].tolist() and not page.locator("#all").is_visible()
    assert page.complaints == []


def test_a_brush_outlasts_a_change_of_the_window(opened, ledger):
    page = opened()
    drag(page, NAMES.index("loss"), 0.8, 1)
    entropy = ledger.loc[ledger["loss"] == "cross_entropy", "trial"].tolist()
    assert kept(page) == entropy
    page.set_viewport_size({"width": 900, "height": 700})
    page.wait_for_function("document.getElementById('lines').getBoundingClientRect().width < 900")
    assert kept(page) == entropy and page.locator("svg .brush:visible").count() == 1


def test_lines_of_one_choice_do_not_lie_on_one_another(opened, ledger):
    page = opened()
    at = page.evaluate("rows.map((row) => y(axes.find((axis) => axis.name === 'loss'), row))")
    assert len({round(each, 2) for each in at}) == len(ledger)
    assert page.locator("svg .tick", has_text="squared hinge").count() == 1
    assert page.locator("svg .tick", has_text="1.25").count() == 1


def test_headings_sort_and_failures_stay_last(opened, ledger):
    page = opened()
    heading = page.get_by_role("button", name="PublicTest")
    for ascending in (True, False):
        heading.click()
        assert (
            kept(page) == ledger.sort_values("val_accuracy", ascending=ascending)["trial"].tolist()
        )
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_a_line_says_which_trial_it_is(opened, ledger):
    page = opened()
    page.locator("tbody tr").first.hover()
    best = ledger.iloc[0]
    assert (
        page.locator("#at")
        .inner_text()
        .startswith(f"trial {best['trial']}: {best['val_accuracy']:.2%}; width ")
    )
    assert page.locator("svg path.on").get_attribute("class") == "best on"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_can_read_it(opened, scheme):
    """Nothing is wider than the window but what scrolls by itself, and no lettering is scaled down."""
    page = opened(color_scheme=scheme, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    scale = page.evaluate("document.getElementById('lines').getScreenCTM().a")
    assert scale == pytest.approx(1)
    boxes = page.evaluate(
        "[...document.querySelectorAll('svg text:not(.tick)')].map((each) => each.getBoundingClientRect())"
    )
    for left, right in itertools.pairwise(boxes):
        assert left["right"] < right["left"], "labels touch"
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (sum(map(int, ink[4:-1].split(","))) > sum(map(int, paper[4:-1].split(",")))) == (
        scheme == "dark"
    )
