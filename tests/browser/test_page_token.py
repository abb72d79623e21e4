"""The page of a server with a token."""

import pytest
from driving import ASTRONAUT, check_astronaut, give

from fer_utils.serving import running

pytestmark = pytest.mark.slow

TOKEN = "open-sesame"


@pytest.fixture(scope="module")
def guarded(recognizer):
    with running(recognizer, token=TOKEN) as url:
        yield url


def type_token(page, token):
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Continue").click()


def test_the_token_is_asked_for_once_in_a_tab(visit, browser, guarded):
    page = visit(browser, guarded)
    assert page.get_by_role("dialog", name="Access token").is_visible()
    assert page.evaluate("() => document.activeElement.id") == "token-field"
    type_token(page, f" {TOKEN} ")  # with spaces, as after pasting
    assert not page.get_by_role("dialog").is_visible()
    give(page, ASTRONAUT, "result")
    check_astronaut(page)
    page.reload()
    assert not page.get_by_role("dialog").is_visible()
    give(page, ASTRONAUT, "result")
    assert page.evaluate("() => JSON.stringify(localStorage)") == "{}"
    assert page.evaluate("() => document.cookie") == ""


def test_a_refused_token_is_asked_for_again_once_for_all_photos(visit, browser, guarded):
    page = visit(browser, guarded)
    type_token(page, "wrong")
    page.set_input_files("#file", [ASTRONAUT, ASTRONAUT, ASTRONAUT])
    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text() == "The server does not accept that token."
    assert page.get_by_label("Token", exact=True).get_attribute("aria-invalid") == "true"
    type_token(page, TOKEN)
    check_astronaut(page)
    page.wait_for_function("() => document.getElementById('settled').textContent === '3 entries'")
    assert all(
        text.startswith("1 face") for text in page.locator(".entry .found").all_inner_texts()
    )
    assert not page.get_by_role("dialog").is_visible()


def test_without_a_token_there_is_an_error(visit, browser, guarded):
    page = visit(browser, guarded)
    page.keyboard.press("Escape")
    page.set_input_files("#file", [ASTRONAUT] * 5)
    page.get_by_role("dialog").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_selector('body[data-state="error"]')
    assert page.locator("#headline").inner_text() == "A token is needed"
    page.wait_for_timeout(300)
    assert not page.get_by_role("dialog").is_visible()  # asked once, not for each photo
    page.locator("#again").click()
    type_token(page, TOKEN)
    check_astronaut(page)


@pytest.mark.parametrize("token", ["", "schlüssel", "two words"])
def test_an_invalid_token_is_not_accepted(visit, browser, guarded, token):
    page = visit(browser, guarded)
    type_token(page, token)
    assert page.get_by_role("dialog").is_visible()
    assert page.evaluate("() => document.activeElement.id") == "token-field"


def test_a_server_without_a_token_asks_for_none(page):
    assert not page.get_by_role("dialog").is_visible()
    give(page, ASTRONAUT, "result")
