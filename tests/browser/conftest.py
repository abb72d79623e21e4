"""A browser, a server and pages for the tests of the page."""

import shutil

import cv2
import pytest
from driving import scene_frames

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def launch():
    """A function that starts Chromium with further arguments. Skips if none is installed."""
    executable = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if executable is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = []

        def start(*arguments):
            started.append(
                playwright.chromium.launch(
                    executable_path=executable, args=[*ARGUMENTS, *arguments]
                )
            )
            return started[-1]

        yield start
        for browser in started:
            browser.close()


@pytest.fixture(scope="session")
def browser(launch):
    """A Chromium on a machine without a camera."""
    return launch()


@pytest.fixture(scope="session")
def camera_browser(launch, tmp_path_factory):
    """A Chromium whose camera shows the scene and is always allowed."""
    file = tmp_path_factory.mktemp("camera") / "scene.mjpeg"
    file.write_bytes(
        b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in scene_frames(3))
    )
    return launch(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={file}",
    )


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A video of the scene (2 s) in a format that Chromium plays and OpenCV writes."""
    file = tmp_path_factory.mktemp("clip") / "scene.webm"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"VP80"), 10, (640, 480))
    for frame in scene_frames(20):
        writer.write(frame)
    writer.release()
    return file


@pytest.fixture(scope="session")
def recognizer(model_folder):
    """A recogniser with a tiny model, whose emotions have no meaning."""
    from fer_utils.recognition.recognizer import Recognizer

    return Recognizer(model_folder)


@pytest.fixture(scope="session")
def url(recognizer):
    """The address of a running server."""
    from fer_utils.serving import running

    with running(recognizer) as address:
        yield address


@pytest.fixture
def visit():
    """A function that opens an address in a new context.

    The test fails if the page requests anything from another address. The page's `complaints` are
    its errors and the messages of its console.
    """
    contexts, strays = [], []

    def open_page(browser, url, script=None, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on(
            "request",
            lambda request: request.url.startswith((url, "blob:")) or strays.append(request.url),
        )
        if script:
            page.add_init_script(script)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert strays == []


@pytest.fixture
def page(visit, browser, url):
    """The page at desktop size."""
    return visit(browser, url)
