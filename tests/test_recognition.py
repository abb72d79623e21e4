"""Recognition: reading every kind of photo, framing faces, the answers' shape, and drawing them."""

import io
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from skimage import data

from fer_utils import recognition
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.recognition import (
    Box,
    Detection,
    HaarDetector,
    ImageTooLarge,
    RecognizedFace,
    Recognizer,
    UnreadableImage,
    annotate,
    crop_face,
    open_image,
)

ASTRONAUT = data.astronaut()  # public domain, 512 x 512; the face is at about x 175..275, y 65..165


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    import keras

    keras.utils.set_random_seed(7)
    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.AveragePooling2D(8)(x)
    x = keras.layers.Flatten()(x)
    outputs = keras.layers.Dense(7, kernel_initializer="random_normal")(x)
    folder = tmp_path_factory.mktemp("model")
    keras.Model(inputs, outputs).save(folder / "model.keras")
    (folder / "about.json").write_text(json.dumps({"name": "tiny", "source": "csv"}))
    return folder


@pytest.fixture(scope="session")
def recognizer(model_folder):
    return Recognizer(model_folder)


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


# --- loading ---


def test_importing_recognition_loads_no_training_library():
    code = (
        "import sys, fer_utils.recognition, fer_utils.serving\n"
        "sys.exit(', '.join({'keras', 'tensorflow', 'jax'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_missing_model_says_what_to_run(tmp_path):
    with pytest.raises(StudyError, match="make study"):
        Recognizer(tmp_path / "nothing")


def test_the_default_model_lies_in_the_study(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STUDY_ROOT", str(tmp_path))
    with pytest.raises(StudyError, match=str(tmp_path / "data" / "champion")):
        Recognizer()


@pytest.mark.parametrize("about", ["", "[]", "{}", '{"name": "x"}', '{"name": 3, "source": "csv"}'])
def test_a_model_without_its_facts_is_refused(model_folder, tmp_path, about):
    (tmp_path / "model.keras").write_bytes((model_folder / "model.keras").read_bytes())
    (tmp_path / "about.json").write_text(about)
    with pytest.raises(StudyError, match=r"about\.json"):
        Recognizer(tmp_path)


def test_a_damaged_model_is_refused(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"not a zip")
    (tmp_path / "about.json").write_text('{"name": "x", "source": "csv"}')
    with pytest.raises(StudyError, match=r"model\.keras"):
        Recognizer(tmp_path)


def test_a_model_of_another_shape_is_refused(tmp_path):
    import keras

    inputs = keras.Input((32, 32, 1))
    outputs = keras.layers.Dense(7)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "model.keras")
    (tmp_path / "about.json").write_text('{"name": "x", "source": "csv"}')
    with pytest.raises(StudyError, match="48, 48"):
        Recognizer(tmp_path)


# --- classify ---


@pytest.mark.parametrize("count", [0, 1, 3, 64, 65, 130])
def test_classify_is_the_softmax_of_the_models_logits(recognizer, model_folder, count):
    import keras

    faces = np.random.default_rng(count).integers(0, 256, (count, 48, 48), dtype=np.uint8)
    probabilities = recognizer.classify(faces)
    assert probabilities.shape == (count, 7)
    assert probabilities.dtype == np.float32
    if count:
        model = keras.saving.load_model(model_folder / "model.keras", compile=False)
        logits = np.asarray(model(faces[..., None].astype(np.float32)), np.float64)
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
        assert np.ptp(probabilities) > 0.01  # the model answers something


@pytest.mark.parametrize(
    "faces", [np.zeros((48, 48), np.uint8), np.zeros((1, 48, 48)), np.zeros((2, 40, 48), np.uint8)]
)
def test_classify_refuses_what_is_no_face_crop(recognizer, faces):
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


def test_every_kind_of_input_gives_the_same_face(recognizer, tmp_path):
    image = Image.fromarray(ASTRONAUT)
    file = tmp_path / "astronaut.png"
    image.save(file)
    answers = [recognizer.recognize(given) for given in (file, str(file), file.read_bytes(), image, ASTRONAUT)]
    for faces in answers:
        check_astronaut(faces)
        assert faces[0].emotion == EMOTIONS[int(faces[0].probabilities.argmax())]
        assert faces[0].probabilities.shape == (7,)
        assert faces[0].probabilities.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_array_equal(faces[0].probabilities, answers[0][0].probabilities)
    check_astronaut(recognizer.recognize(np.asarray(image.convert("L"))))


def test_the_answer_is_plain_json(recognizer):
    face = json.loads(json.dumps(recognizer.recognize(ASTRONAUT)[0].as_dict()))
    assert list(face) == ["box", "score", "emotion", "probabilities"]
    assert list(face["box"]) == ["x", "y", "width", "height"]
    assert list(face["probabilities"]) == list(EMOTIONS)


def test_boxes_of_a_huge_photo_are_in_its_own_pixels(recognizer):
    check_astronaut(recognizer.recognize(Image.fromarray(ASTRONAUT).resize((3072, 3072))), scale=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(recognizer, orientation):
    # What a camera held otherwise would have stored: the inverse of what the orientation asks for.
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
    turned = image.transpose(stored[orientation]) if orientation > 1 else image
    photo = encoded(turned, "JPEG", quality=95, exif=exif)
    assert open_image(photo).size == (512, 400)
    check_astronaut(recognizer.recognize(photo))


def test_exif_that_lies_does_no_harm(recognizer):
    for exif in (b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        check_astronaut(recognizer.recognize(encoded(Image.fromarray(ASTRONAUT), "JPEG", quality=95, exif=exif)))


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


def test_each_thread_has_its_own_cascade():
    detector = HaarDetector()
    seen = []

    def work():
        detector.detect(ASTRONAUT)
        seen.append(detector._of_thread.cascade)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(cascade) for cascade in seen}) == 3


def test_another_detector_can_be_given_and_its_boxes_are_cut_to_the_photo(model_folder):
    class Everywhere:
        def detect(self, photo):
            assert photo.dtype == np.uint8
            assert max(photo.shape) <= 1024
            return [Detection(Box(-10, -20, 2000, 1500), 1.0), Detection(Box(5000, 0, 9, 9), 1.0)]

    faces = Recognizer(model_folder, detector=Everywhere()).recognize(np.zeros((900, 2048, 3), np.uint8))
    assert [face.box for face in faces] == [Box(0, 0, 2048, 900)]


def test_the_photos_have_the_faces_their_table_says(recognizer, real_data):
    folder = real_data / "media" / "photos"
    for line in (folder / "faces.csv").read_text().split()[1:]:
        name, count = line.split(",")
        assert len(recognizer.recognize(folder / name)) == int(count), name


# --- reading images ---


def grey_levels(image):
    return np.asarray(image)[..., 0]


def test_alpha_becomes_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert open_image(encoded(clear)).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 200, 0])
    assert open_image(encoded(palette, "GIF", transparency=0)).getpixel((0, 0)) == (255, 255, 255)
    assert open_image(encoded(Image.new("LA", (4, 4), (10, 255)))).getpixel((0, 0)) == (10, 10, 10)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_accepted_format_is_read(format):
    image = Image.fromarray(ASTRONAUT[::4, ::4])
    read = np.asarray(open_image(encoded(image, format)), float)
    assert abs(read - np.asarray(image)).mean() < 12


def test_cmyk_is_read_in_its_colours():
    image = Image.fromarray(ASTRONAUT)
    read = open_image(encoded(image.convert("CMYK"), "JPEG", quality=95))
    assert read.mode == "RGB"
    assert np.corrcoef(grey_levels(read).ravel(), ASTRONAUT[..., 0].ravel())[0, 1] > 0.98


def test_sixteen_bits_keep_their_upper_eight():
    ramp = np.arange(256, dtype=np.uint16)[None].repeat(4, 0)
    read = open_image(encoded(Image.fromarray(ramp * 256 + 17)))
    np.testing.assert_array_equal(grey_levels(read), ramp)


def test_floating_point_is_stretched():
    values = np.array([[0.0, 0.5], [1.0, np.nan]], np.float32)
    read = grey_levels(open_image(encoded(Image.fromarray(values), "TIFF")))
    assert read.tolist() == [[0, 127], [255, 0]]


def test_of_an_animation_the_first_frame_is_read():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("black", "white")]
    for format in ("GIF", "WEBP", "PNG"):
        read = open_image(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
        assert read.getpixel((4, 4)) == (0, 0, 0), format


@pytest.mark.parametrize("junk", [b"", b"x", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", b"<svg/>", b"\0" * 999])
def test_what_is_no_image_has_its_own_error(junk):
    with pytest.raises(UnreadableImage, match="expected"):
        open_image(junk)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_a_truncated_image_has_its_own_error(format):
    whole = encoded(Image.fromarray(ASTRONAUT), format)
    with pytest.raises(UnreadableImage):
        open_image(whole[: len(whole) // 2])


def test_a_format_that_runs_other_programs_is_not_read():
    with pytest.raises(UnreadableImage):
        open_image(encoded(Image.fromarray(ASTRONAUT), "EPS"))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(UnreadableImage, match=str(path)):
            open_image(path)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_arrays_of_another_shape_or_dtype_are_refused(array):
    with pytest.raises(UnreadableImage, match="uint8"):
        open_image(array)


def test_another_type_is_refused():
    with pytest.raises(UnreadableImage, match="NoneType"):
        open_image(None)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    def unpack(self):
        raise AssertionError("the pixels were decoded")

    bomb = encoded(Image.new("1", (9000, 9000)))
    assert len(bomb) < 50_000
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", unpack)
    with pytest.raises(ImageTooLarge, match="50 million"):
        open_image(bomb)


def test_a_far_larger_bomb_is_refused_alike(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow itself raises above twice this
    with pytest.raises(ImageTooLarge):
        open_image(encoded(Image.new("L", (9, 9))))


def test_an_array_and_a_pil_image_have_the_same_limit(monkeypatch):
    monkeypatch.setattr(recognition, "MAX_PIXELS", 100)
    for image in (np.zeros((11, 10), np.uint8), Image.new("L", (10, 11))):
        with pytest.raises(ImageTooLarge):
            open_image(image)
    assert open_image(np.zeros((10, 10), np.uint8)).size == (10, 10)


# --- framing ---


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
    "box", [Box(0, 0, 60, 60), Box(40, 40, 60, 60), Box(0, 70, 100, 30), Box(0, 0, 100, 100), Box(99, 99, 1, 1)]
)
def test_a_face_at_the_border_is_padded_with_the_border(box):
    photo = np.full((100, 100, 3), 77, np.uint8)
    np.testing.assert_array_equal(crop_face(photo, box), np.full((48, 48), 77))


def test_shrinking_averages_and_does_not_alias():
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_face(stripes, Box(100, 100, 480, 480))
    assert np.abs(crop.astype(int) - 127).max() < 15


# --- annotate ---


ACCENT = (255, 176, 64)


def face_at(box, emotion="happy"):
    probabilities = np.full(7, 0.05, np.float32)
    probabilities[EMOTIONS.index(emotion)] = 0.7
    return RecognizedFace(box, 9.0, emotion, probabilities)


@pytest.mark.parametrize("size", [(1, 1), (48, 48), (30, 900), (900, 30), (512, 512), (3000, 2000)])
def test_annotate_draws_at_any_size(size):
    width, height = size
    box = Box(width // 4, height // 4, max(1, width // 2), max(1, height // 2))
    photo = np.full((height, width), 128, np.uint8)
    picture = annotate(photo, [face_at(box)])
    assert picture.mode == "RGB"
    assert max(picture.size) >= 720
    assert picture.width / picture.height == pytest.approx(width / height, rel=0.05)
    assert np.ptp(np.asarray(picture)) > 100  # something is drawn


def test_annotate_leaves_a_photo_without_faces_as_it_is():
    large = np.asarray(Image.fromarray(ASTRONAUT).resize((800, 800)))
    np.testing.assert_array_equal(np.asarray(annotate(large, [])), large)


def test_cards_hide_no_face_where_there_is_room():
    boxes = [Box(100, 300, 150, 150), Box(600, 300, 150, 150)]
    picture = np.asarray(annotate(np.full((900, 1000), 128, np.uint8), [face_at(box) for box in boxes]))
    for box in boxes:
        inside = picture[box.y + 8 : box.y + box.height - 8, box.x + 8 : box.x + box.width - 8]
        assert (inside == 128).all()


def test_a_bar_is_as_long_as_its_share():
    def longest_run(share):
        probabilities = np.full(7, (1 - share) / 6, np.float32)
        probabilities[3] = share
        face = RecognizedFace(Box(60, 60, 200, 200), 9.0, "happy", probabilities)
        picture = np.asarray(annotate(np.full((720, 720), 128, np.uint8), [face]))[:, 262:]
        return max((row == ACCENT).all(axis=1).sum() for row in picture)

    full = longest_run(1.0)
    assert full > 60
    for share in (0.3, 0.5, 0.8):
        assert longest_run(share) == pytest.approx(share * full, abs=2)


def test_in_a_crowd_no_face_is_hidden_by_a_card():
    boxes = [Box(40 + 140 * column, 60 + 220 * row, 100, 100) for row in range(3) for column in range(5)]
    picture = np.asarray(annotate(np.full((720, 740), 128, np.uint8), [face_at(box) for box in boxes]))
    for box in boxes:
        assert (picture[box.y + 8 : box.y + 92, box.x + 8 : box.x + 92] == 128).all()
