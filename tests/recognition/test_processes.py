"""A recogniser in other processes, threads and event loops, and with many faces."""

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.yunet import YuNetDetector
from fer_utils.recognition.yunet_file import YUNET_FILE

ASTRONAUT = data.astronaut()


@pytest.fixture(params=["haar", "yunet"])
def detector(request):
    if request.param == "haar":
        return HaarDetector()
    file = request.getfixturevalue("real_data") / "models" / YUNET_FILE
    if not file.is_file():
        pytest.skip(f"no YuNet model at {file}")
    return YuNetDetector(file)


@pytest.fixture
def recognizer(model_folder, detector):
    return Recognizer(model_folder, detector)


def test_a_pickle_needs_no_file_and_gives_the_same_answers(model_folder, detector, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in model_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    recognizer = Recognizer(folder, detector, threads=2)
    expected = recognizer.answer(ASTRONAUT)
    assert len(expected["faces"]) == 1
    pickled = pickle.dumps(recognizer)
    for file in folder.iterdir():
        file.unlink()
    copy = pickle.loads(pickled)
    assert copy.answer(ASTRONAUT) == expected
    assert copy.card == recognizer.card
    assert pickle.loads(pickle.dumps(copy)).answer(ASTRONAUT) == expected


METHODS = [each for each in ("fork", "spawn") if each in multiprocessing.get_all_start_methods()]


@pytest.mark.parametrize("method", METHODS)
def test_processes_give_the_same_answers(recognizer, method, tmp_path):
    expected = recognizer.answer(ASTRONAUT)  # before the fork, so that all threads exist
    (tmp_path / "recognizer").write_bytes(pickle.dumps(recognizer))
    np.save(tmp_path / "photo.npy", ASTRONAUT)
    # A process of its own, because the tests' process has threads of other libraries.
    done = subprocess.run(
        [sys.executable, __file__, method, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(expected)] * 5


def test_threads_give_the_same_answers(recognizer):
    expected = recognizer.answer(ASTRONAUT)
    photos = [ASTRONAUT, ASTRONAUT[:300], ASTRONAUT[:, :400]] * 8
    answers = [recognizer.answer(photo) for photo in photos[:3]]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(recognizer.answer, photos))
    assert found == answers * 8
    assert found[0] == expected


def test_an_event_loop_runs_on_while_photos_are_recognised(recognizer):
    expected = recognizer.answer(ASTRONAUT)

    async def main():
        answers = asyncio.gather(
            *(asyncio.to_thread(recognizer.answer, ASTRONAUT) for _ in range(8))
        )
        ticks = 0
        while not answers.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return await answers, ticks

    answers, ticks = asyncio.run(main())
    assert answers == [expected] * 8
    assert ticks > 8


def test_many_faces_take_bounded_memory(model_folder):
    recognizer = Recognizer(model_folder, HaarDetector())
    # Half a gigabyte of faces, of which only one byte exists.
    faces = np.broadcast_to(np.uint8(90), (200_000, 48, 48))
    tracemalloc.start()
    try:
        probabilities = recognizer.classify(faces)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert probabilities.shape == (200_000, 7)
    assert (probabilities == probabilities[0]).all()
    assert peak < 4 * probabilities.nbytes + 2_000_000


def _answer(recognizer, photo):
    return recognizer.answer(photo)


def main(method: str, folder: Path) -> None:
    """Print the answers of this process and of two others."""
    recognizer = pickle.loads((folder / "recognizer").read_bytes())
    photo = np.load(folder / "photo.npy")
    print(recognizer.answer(photo))
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for answer in pool.map(_answer, [recognizer] * 2, [photo] * 2):
            print(answer)
    # The initialiser's arguments are inherited by forked processes, and pickled for spawned ones.
    with context.Pool(2, _inherit, (recognizer,)) as pool:
        for answer in pool.map(_answer_inherited, [photo] * 2):
            print(answer)


_inherited = None


def _inherit(recognizer) -> None:
    global _inherited
    _inherited = recognizer


def _answer_inherited(photo):
    return _inherited.answer(photo)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
