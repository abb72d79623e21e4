"""The page's history: many photos at once, selecting, saving and clearing."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from driving import ASTRONAUT, NO_FACE, NOTES, PREDICT, answer, check_astronaut, drop, face, give

from fer_utils.emotions import EMOTIONS

pytestmark = pytest.mark.slow


def saved(page, kind):
    with page.expect_download() as download:
        page.locator(f"#save-{kind}").click()
    assert download.value.suggested_filename.startswith("expressions-")
    assert download.value.suggested_filename.endswith(f".{kind}")
    return Path(download.value.path()).read_bytes().decode()


def settle(page, count):
    page.wait_for_function(
        f"() => document.getElementById('settled').textContent.startsWith('{count} entr')"
    )


def test_each_of_many_dropped_photos_becomes_an_entry(page):
    assert not page.locator("#history").is_visible()
    drop(page, ASTRONAUT, NO_FACE, NOTES)
    check_astronaut(page)  # the first photo is shown
    settle(page, 3)
    assert page.locator(".entry .title").all_inner_texts() == [
        "astronaut.png",
        "teal.png",
        "notes.jpg",
    ]
    first, *others = page.locator(".entry .found").all_inner_texts()
    assert first.startswith("1 face: ")
    assert others == ["No face found", "This photo cannot be read"]
    # The third file is no picture, so it has a placeholder with its type.
    page.wait_for_function(
        "() => document.querySelectorAll('.entry canvas.thumbnail').length === 2"
    )
    assert page.locator(".entry span.thumbnail").inner_text().lower() == "jpg"


def test_many_photos_are_sent_two_at_a_time(page):
    held = []
    page.route(PREDICT, lambda route: held.append(route))
    page.set_input_files("#file", [ASTRONAUT, NO_FACE, NO_FACE, NO_FACE])
    page.wait_for_timeout(500)
    assert len(held) == 2
    assert page.locator("#settled").inner_text() == "0 of 4 processed"
    assert page.locator("#save-json").is_disabled()
    held[1].continue_()
    page.wait_for_function(
        "() => document.getElementById('settled').textContent === '1 of 4 processed'"
    )
    page.wait_for_timeout(300)
    assert len(held) == 3


def test_a_selected_entry_is_shown_again(page):
    give(page, ASTRONAUT, "result")
    give(page, NO_FACE, "none")
    # The newest entry is the first.
    assert page.locator(".entry .title").all_inner_texts() == ["teal.png", "astronaut.png"]
    page.locator("#tab-webcam").click()
    assert page.locator(".entry[aria-current]").count() == 0
    page.locator(".entry").nth(1).focus()
    page.keyboard.press("Enter")
    check_astronaut(page)
    assert page.locator("#filename").inner_text() == "astronaut.png"
    assert page.locator(".entry[aria-current] .title").all_inner_texts() == ["astronaut.png"]


def test_the_history_is_saved_as_json(page):
    give(page, ASTRONAUT, "result")
    give(page, [NO_FACE, NOTES], "none")
    settle(page, 3)
    document = json.loads(saved(page, "json"))
    assert document["model"] == "tiny network"
    astronaut, teal, notes = document["results"]  # the oldest entry is the first
    assert [entry["name"] for entry in document["results"]] == [
        "astronaut.png",
        "teal.png",
        "notes.jpg",
    ]
    assert (astronaut["width"], astronaut["height"], len(astronaut["faces"])) == (512, 512, 1)
    assert list(astronaut["faces"][0]["probabilities"]) == list(EMOTIONS)
    assert sum(astronaut["faces"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert set(astronaut["faces"][0]["box"]) == {"x", "y", "width", "height"}
    assert teal["faces"] == []
    assert notes["error"].startswith("This photo cannot be read. ")
    age = datetime.now(UTC) - datetime.fromisoformat(astronaut["time"])
    assert abs(age.total_seconds()) < 600


def test_the_history_is_saved_as_csv_with_one_row_for_each_face(page):
    answer(page, face("happy", x=3), face("sad", 0.4, uncertain=True))
    give(page, {**NO_FACE, "name": '=1+1, "two".png'}, "result")
    page.unroute(PREDICT)
    give(page, [NO_FACE, NOTES], "none")
    settle(page, 3)
    rows = list(csv.DictReader(saved(page, "csv").splitlines()))
    # A spreadsheet must not read the file's name as a formula.
    names = ['\'=1+1, "two".png'] * 2 + ["teal.png", "notes.jpg"]
    assert [row["name"] for row in rows] == names
    assert [row["face"] for row in rows] == ["1", "2", "", ""]
    assert [row["faces"] for row in rows] == ["2", "2", "0", ""]
    assert [row["emotion"] for row in rows] == ["happy", "sad", "", ""]
    assert [row["uncertain"] for row in rows] == ["false", "true", "", ""]
    assert [row["error"] for row in rows] == ["", "", "", "This photo cannot be read"]
    assert (rows[0]["x"], rows[0]["photo_width"], rows[0]["kind"]) == ("3", "90", "photo")
    assert sum(float(rows[1][emotion]) for emotion in EMOTIONS) == pytest.approx(1)


def test_clearing_the_history_can_be_undone(page):
    give(page, ASTRONAUT, "result")
    page.locator("#clear").click()
    assert page.locator(".entry").count() == 0
    assert page.locator("#drop").is_visible()
    assert page.locator("body").get_attribute("data-state") == "waiting"
    page.locator("#undo").click()
    page.locator(".entry").click()
    check_astronaut(page)
    page.locator("#clear").click()
    give(page, NO_FACE, "none")
    assert page.locator(".entry .title").all_inner_texts() == ["teal.png"]
    assert not page.locator("#undo").is_visible()


def test_clearing_cancels_unsent_photos(page):
    held = []
    page.route(PREDICT, lambda route: held.append(route))
    page.set_input_files("#file", [ASTRONAUT, NO_FACE, NO_FACE, NO_FACE])
    page.wait_for_timeout(300)
    page.locator("#clear").click()
    page.wait_for_timeout(300)
    assert len(held) == 2
    # Entries without a result are not restored.
    assert not page.locator("#undo").is_visible()
    page.unroute(PREDICT)
    give(page, NO_FACE, "none")
    settle(page, 1)
