"""The recogniser: loading models, classifying, all kinds of input, and cropping faces."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from serving_cases import encoded
from skimage import data

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.paths import RELEASED
from fer_utils.recognition.found import Box, Detection
from fer_utils.recognition.images import open_image
from fer_utils.recognition.recognizer import Recognizer, crop_face
from fer_utils.recognition.search import Detector

ASTRONAUT = data.astronaut()  # public domain, 512 x 512; the face is about x 175..275, y 65..165


@pytest.fixture(scope="session")
def recognizer(model_folder):
    return Recognizer(model_folder)


# --- loading ---


def test_importing_recognition_loads_no_training_library():
    code = (
        "import sys, fer_utils.serving, fer_utils.recognition.video, fer_utils.cli.predict\n"
        "from fer_utils import Recognizer\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'pandas', 'scipy', 'sklearn', 'matplotlib'}\n"
        "sys.exit(', '.join((heavy | {'onnx'}) & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_recognising_loads_no_training_library(model_folder):
    code = (
        "import sys, numpy\n"
        "from fer_utils import Recognizer\n"
        f"Recognizer({str(model_folder)!r}).classify(numpy.zeros((2, 48, 48), 'uint8'))\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'pandas', 'scipy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_error_for_a_missing_model_names_the_command(tmp_path):
    with pytest.raises(StudyError, match="fer-study export"):
        Recognizer(tmp_path / "nothing")


@pytest.mark.parametrize("card", ["", "[]", "{}", '{"name": "x"}', '{"name": 3, "source": "csv"}'])
def test_a_model_with_an_incomplete_card_is_refused(model_folder, tmp_path, card):
    (tmp_path / "model.onnx").write_bytes((model_folder / "model.onnx").read_bytes())
    (tmp_path / "card.json").write_text(card)
    with pytest.raises(StudyError, match=r"card\.json"):
        Recognizer(tmp_path)


def test_a_damaged_model_is_refused(write_model, tmp_path):
    (write_model(tmp_path) / "model.onnx").write_bytes(b"no network")
    with pytest.raises(StudyError, match=r"model\.onnx"):
        Recognizer(tmp_path)


@pytest.mark.parametrize("shape", [{"side": 32}, {"outputs": 8}])
def test_a_model_of_another_shape_is_refused(write_model, tmp_path, shape):
    with pytest.raises(StudyError, match="48, 48"):
        Recognizer(write_model(tmp_path, **shape))


def test_drawn_depends_on_the_training_data(write_model, tmp_path):
    assert Recognizer(write_model(tmp_path, source="sample")).drawn


# --- classify ---


@pytest.mark.parametrize("count", [0, 1, 3, 64, 65, 130])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_classify_is_the_softmax_of_the_models_logits_over_the_temperature(
    write_model, tmp_path, count, temperature
):
    folder = write_model(tmp_path, temperature=temperature)
    faces = np.random.default_rng(count).integers(0, 256, (count, 48, 48), dtype=np.uint8)
    probabilities = Recognizer(folder).classify(faces)
    assert probabilities.shape == (count, 7)
    assert probabilities.dtype == np.float32
    if count:
        kernel = numpy_helper.to_array(
            onnx.load(folder / "model.onnx").graph.initializer[0]
        ).astype(np.float64)
        logits = faces.reshape(count, -1) @ kernel / temperature
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
        assert np.ptp(probabilities) > 0.01  # the probabilities differ


@pytest.mark.parametrize(
    "faces", [np.zeros((48, 48), np.uint8), np.zeros((1, 48, 48)), np.zeros((2, 40, 48), np.uint8)]
)
def test_classify_refuses_other_shapes_and_dtypes(recognizer, faces):
    with pytest.raises(StudyError, match="48, 48"):
        recognizer.classify(faces)


# --- recognize ---


def check_astronaut(faces, scale=1.0):
    assert len(faces) == 1
    x, y, width, height = (edge / scale for edge in faces[0].box)
    assert 165 < x < 190
    assert 55 < y < 80
    assert 85 < width < 115
    assert abs(width - height) < 3


def test_all_kinds_of_input_have_the_same_result(recognizer, tmp_path):
    image = Image.fromarray(ASTRONAUT)
    file = tmp_path / "astronaut.png"
    image.save(file)
    inputs = (file, str(file), file.read_bytes(), image, ASTRONAUT)
    results = [recognizer.recognize(each) for each in inputs]
    for faces in results:
        check_astronaut(faces)
        assert faces[0].emotion == EMOTIONS[int(faces[0].probabilities.argmax())]
        assert faces[0].probabilities.shape == (7,)
        assert faces[0].probabilities.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_array_equal(faces[0].probabilities, results[0][0].probabilities)
    check_astronaut(recognizer.recognize(np.asarray(image.convert("L"))))


def test_views_of_arrays_have_the_result_of_their_copies(recognizer):
    whole = cv2.copyMakeBorder(ASTRONAUT, 30, 0, 30, 0, cv2.BORDER_REFLECT)
    for view in (whole[30:, 30:], np.ascontiguousarray(ASTRONAUT[..., ::-1])[..., ::-1]):
        (face,) = recognizer.recognize(view)
        assert face.as_dict() == recognizer.recognize(ASTRONAUT)[0].as_dict()


def test_as_dict_is_plain_json(recognizer):
    face = json.loads(json.dumps(recognizer.recognize(ASTRONAUT)[0].as_dict()))
    assert list(face) == ["box", "score", "emotion", "probabilities", "uncertain"]
    assert list(face["box"]) == ["x", "y", "width", "height"]
    assert list(face["probabilities"]) == list(EMOTIONS)


def test_boxes_of_a_huge_photo_are_in_its_own_pixels(recognizer):
    check_astronaut(recognizer.recognize(Image.fromarray(ASTRONAUT).resize((3072, 3072))), scale=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(recognizer, orientation):
    # A rotated camera stores the inverse of the transformation that EXIF describes.
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = Image.fromarray(ASTRONAUT[:400])
    exif = Image.Exif()
    exif[0x0112] = orientation
    rotated = image.transpose(stored[orientation]) if orientation > 1 else image
    photo = encoded(rotated, "JPEG", quality=95, exif=exif)
    assert open_image(photo).size == (512, 400)
    check_astronaut(recognizer.recognize(photo))


def test_invalid_exif_is_ignored(recognizer):
    for exif in (b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        check_astronaut(
            recognizer.recognize(encoded(Image.fromarray(ASTRONAUT), "JPEG", quality=95, exif=exif))
        )


def test_faces_come_from_left_to_right(recognizer):
    pair = np.concatenate([ASTRONAUT[:256, 100:356], ASTRONAUT[:256, 100:356]], axis=1)
    boxes = [face.box for face in recognizer.recognize(pair)]
    assert len(boxes) == 2
    assert boxes[0].x < 128 < 256 < boxes[1].x


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (48, 48), (200, 300)])
def test_no_face_is_an_empty_list(recognizer, shape):
    assert recognizer.recognize(np.full(shape, 128, np.uint8)) == []


def test_many_threads_agree(recognizer):
    expected = recognizer.recognize(ASTRONAUT)[0]
    barrier = threading.Barrier(8)

    def work(_):
        barrier.wait()
        return [recognizer.recognize(ASTRONAUT)[0] for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        for faces in pool.map(work, range(8)):
            for face in faces:
                assert face.box == expected.box
                np.testing.assert_allclose(face.probabilities, expected.probabilities, atol=1e-6)


def test_the_boxes_of_another_detector_are_cut_to_the_photo(model_folder):
    sizes = []

    class Everywhere(Detector):
        def detect(self, photo):
            assert photo.dtype == np.uint8
            sizes.append(photo.shape)
            return [Detection(Box(-10, -20, 700, 400), 1.0), Detection(Box(5000, 0, 9, 9), 1.0)]

    faces = Recognizer(model_folder, detector=Everywhere()).recognize(
        np.zeros((900, 2048, 3), np.uint8)
    )
    assert [face.box for face in faces] == [Box(0, 0, 2048, 900)]
    assert sizes == [(281, 640, 3), (439, 1000, 3)]


def test_uncertain_is_below_the_threshold(write_model, tmp_path):
    folder = write_model(tmp_path)
    best = Recognizer(folder).recognize(ASTRONAUT)[0].probabilities.max()
    for threshold in (0.0, float(best) - 0.001, float(best) + 0.001, 1.01):
        face = Recognizer(write_model(tmp_path, threshold=threshold)).recognize(ASTRONAUT)[0]
        assert face.uncertain == (best < threshold)


def test_a_batch_has_the_same_results_as_its_photos_one_by_one(recognizer):
    photos = [ASTRONAUT, np.zeros((60, 60), np.uint8), ASTRONAUT[:, ::-1], ASTRONAUT[:300]]
    together = recognizer.recognize_batch(photos)
    assert [len(faces) for faces in together] == [1, 0, 1, 1]
    for photo, faces in zip(photos, together, strict=True):
        for face, alone in zip(faces, recognizer.recognize(photo), strict=True):
            assert face.box == alone.box
            np.testing.assert_allclose(face.probabilities, alone.probabilities, atol=1e-6)


def test_a_folder_is_read_in_order_with_warnings_for_unreadable_files(recognizer, tmp_path, caplog):
    (tmp_path / "b").mkdir()
    for name in ("b/one.PNG", "a.jpg"):
        (tmp_path / name).write_bytes(encoded(Image.fromarray(ASTRONAUT)))
    (tmp_path / "c.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no photo")
    found = list(recognizer.recognize_folder(tmp_path, progress=False))
    assert [(path.relative_to(tmp_path).as_posix(), len(faces)) for path, faces in found] == [
        ("a.jpg", 1),
        ("b/one.PNG", 1),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "c.png: expected an image" in caplog.text
    assert "passed over 1 files without a photo's suffix" in caplog.text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected a folder of photos, found nothing in it"),
        (
            {"notes.txt": b"words", "clip.mp4": b"film"},
            "expected a folder of photos, found 2 other files",
        ),
        (
            {"a.jpg": b"no photo", "b.png": b""},
            "expected photos that can be read, found none among 2 files",
        ),
    ],
)
def test_a_folder_without_readable_photos_is_an_error(recognizer, tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyError, match=message):
        list(recognizer.recognize_folder(tmp_path, progress=False))


def test_a_missing_folder_is_named_in_the_error(recognizer, tmp_path):
    with pytest.raises(StudyError, match="nowhere"):
        next(recognizer.recognize_folder(tmp_path / "nowhere", progress=False))


# --- cropping ---


def test_the_crop_is_a_slightly_larger_square_about_the_box():
    photo = np.zeros((300, 300, 3), np.uint8)
    photo[100:200, 100:200] = 255
    crop = crop_face(photo, Box(100, 100, 100, 100))
    assert crop.shape == (48, 48)
    assert crop.dtype == np.uint8
    assert crop[1:-1, 1:-1].min() == 255
    assert crop[0, 0] < 255  # the border of the larger square
    np.testing.assert_array_equal(crop, crop.T)


@pytest.mark.parametrize(
    "box",
    [
        Box(0, 0, 60, 60),
        Box(40, 40, 60, 60),
        Box(0, 70, 100, 30),
        Box(0, 0, 100, 100),
        Box(99, 99, 1, 1),
    ],
)
def test_a_face_at_the_border_is_padded_with_the_border(box):
    photo = np.full((100, 100, 3), 77, np.uint8)
    np.testing.assert_array_equal(crop_face(photo, box), np.full((48, 48), 77))


def test_shrinking_averages_and_does_not_alias():
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_face(stripes, Box(100, 100, 480, 480))
    assert np.abs(crop.astype(int) - 127).max() < 15


def test_frame_and_rise_enlarge_and_lift_the_square():
    photo = np.zeros((300, 300, 3), np.uint8)
    photo[100:200, 100:200] = 255
    # The square is twice as wide as the box. Its centre is higher than the box's by a quarter of
    # its side, so its rows are 0 to 200.
    crop = crop_face(photo, Box(100, 100, 100, 100), frame=2.0, rise=0.25)
    rows = np.flatnonzero((crop > 127).any(axis=1))
    columns = np.flatnonzero((crop > 127).any(axis=0))
    assert (rows[0], rows[-1]) == (24, 47)
    assert (columns[0], columns[-1]) == (12, 35)


# --- the released model ---


def test_the_released_model_is_small_and_was_trained_on_real_faces():
    assert not Recognizer().drawn
    sizes = {path.name: path.stat().st_size for path in RELEASED.iterdir() if path.is_file()}
    assert {"model.onnx", "card.json", "weights.npz", "README.md"} <= set(sizes)
    assert sum(sizes.values()) < 8_000_000


def test_the_released_model_has_its_cards_accuracy_on_publictest(real_data):
    from fer_utils.data.sources import read
    from fer_utils.emotions import PUBLIC

    recognizer = Recognizer(threads=2)
    public = read("csv", real_data / "fer2013.csv.gz").of(PUBLIC)
    accuracy = (recognizer.classify(public.images).argmax(axis=1) == public.emotion).mean()
    # Processors round 8-bit models slightly differently.
    assert accuracy == pytest.approx(recognizer.card["public_accuracy"], abs=0.003)
