"""Folders of images."""

import numpy as np
import pytest
from PIL import Image

from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.sources import read
from fer_utils.sources.folder import read_folder


def shade(emotion: str, index: int) -> int:
    """The one grey of a test image, another for each."""
    return EMOTIONS.index(emotion) * 30 + index


def put(root, name: str, value: int, size=(48, 48), mode="L") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def kaggle(tmp_path):
    """The layout of msambare/fer2013: two images a usage and emotion."""
    for emotion in EMOTIONS:
        for index in (0, 1):
            put(tmp_path, f"train/{emotion}/Training_{index}.png", shade(emotion, index))
            put(tmp_path, f"test/{emotion}/PublicTest_{index}.png", shade(emotion, 10 + index))
            put(tmp_path, f"test/{emotion}/PrivateTest_{index}.png", shade(emotion, 20 + index))
    return tmp_path


@pytest.fixture
def plain(tmp_path):
    """File names that tell nothing: three test images of each emotion."""
    for emotion in EMOTIONS:
        put(tmp_path, f"train/{emotion}/a.png", shade(emotion, 0))
        for index in range(3):
            put(tmp_path, f"test/{emotion}/im{index}.png", shade(emotion, 10 + index))
    return tmp_path


def test_reads_kaggles_layout(kaggle):
    faces = read_folder(kaggle)
    expected = [
        (usage, number, shade(emotion, start + index))
        for usage, start in ((TRAINING, 0), (PUBLIC, 10), (PRIVATE, 20))
        for number, emotion in enumerate(EMOTIONS)
        for index in (0, 1)
    ]
    found = zip(faces.usage.tolist(), faces.emotion.tolist(), faces.images[:, 7, 7].tolist(), strict=True)
    assert list(found) == expected
    assert (faces.images == faces.images[:, :1, :1]).all()
    assert faces.row.tolist() == list(range(42))
    assert faces.source == "folder"
    assert faces.notices == ()


def test_leaves_hidden_files_out(kaggle):
    expected = read_folder(kaggle)
    for name in (".DS_Store", "train/.DS_Store", "train/happy/.DS_Store", "test/sad/._im.png"):
        (kaggle / name).write_bytes(b"\x00\x05\x16\x07")
    np.testing.assert_array_equal(read_folder(kaggle).images, expected.images)


@pytest.mark.parametrize("usage", [PUBLIC, PRIVATE])
def test_the_user_says_what_test_is(plain, usage):
    faces = read_folder(plain, test_usage=usage)
    assert faces.usage.tolist() == [TRAINING] * 7 + [usage] * 21
    assert faces.notices == ()


def test_splits_test_by_emotion_always_alike(plain):
    faces = read_folder(plain, test_usage="split")
    for number, emotion in enumerate(EMOTIONS):
        shades = {
            usage: faces.images[(faces.usage == usage) & (faces.emotion == number), 0, 0].tolist()
            for usage in (PUBLIC, PRIVATE)
        }
        assert shades == {PUBLIC: [shade(emotion, 10), shade(emotion, 12)], PRIVATE: [shade(emotion, 11)]}
    assert any("dealt out by this study" in notice for notice in faces.notices)


def test_a_missing_part_is_a_departure(plain):
    for file in (plain / "test").rglob("*.png"):
        file.unlink()
    notices = read("folder", plain).notices
    assert "PublicTest has no image where FER-2013 has 3,589." in notices


@pytest.mark.parametrize(
    ("mode", "colour", "grey"),
    [
        ("RGB", (200, 200, 200), 200),
        ("RGB", (255, 0, 0), 76),  # 0.299 of 255
        ("RGBA", (0, 255, 0, 255), 150),  # 0.587 of 255
        ("LA", (77, 128), 77),
        ("P", 1, 1),
    ],
)
def test_turns_colour_grey_and_says_so(kaggle, mode, colour, grey):
    image = Image.new(mode, (48, 48), colour)
    if mode == "P":
        image.putpalette([level for level in range(256) for _ in range(3)])
    image.save(kaggle / "train" / "happy" / "Training_2.png")
    faces = read_folder(kaggle)
    assert faces.usage[8] == TRAINING and faces.emotion[8] == EMOTIONS.index("happy")
    assert (faces.images[8] == grey).all()
    assert faces.notices == ("Converted to grey: 1 of 43 images.",)


def test_resizes_on_request_only(kaggle):
    put(kaggle, "train/happy/Training_2.png", 77, size=(64, 50))
    with pytest.raises(StudyError, match=r"Training_2\.png: expected .* 48x48 pixels, found 64x50\. Say --resize"):
        read_folder(kaggle)
    faces = read_folder(kaggle, resize=True)
    assert (faces.images[8] == 77).all()
    assert faces.notices == ("Resized to 48x48 pixels: 1 of 43 images.",)


def fails(match: str, folder, **options) -> None:
    with pytest.raises(StudyError, match=match):
        read_folder(folder, **options)


def test_refuses_test_images_nobody_explains(plain):
    fails(r"test: expected file names .* found such as im0\.png\. Say what test/ is with --test-usage", plain)
    fails(r"--test-usage: expected one of PublicTest, PrivateTest, split, found 'public'", plain, test_usage="public")


def test_refuses_two_explanations(kaggle, tmp_path):
    fails("already; found --test-usage split too", kaggle, test_usage="split")
    put(tmp_path, "test/sad/other.png", 3)
    fails(r"sad/other\.png: expected a name that begins with", kaggle)


@pytest.mark.parametrize("name", ["train/joy/a.png", "train/Happy/a.png", "train/a.png", "validation/happy/a.png"])
def test_refuses_unknown_folders(kaggle, name):
    put(kaggle, name, 1)
    fails(f"{kaggle / name.removesuffix('/a.png').removesuffix('/happy')}.*Move it away", kaggle)


def test_refuses_what_holds_no_images(tmp_path):
    fails("no such folder", tmp_path / "missing")
    fails("found none", tmp_path)
    (tmp_path / "train" / "happy").mkdir(parents=True)
    fails("found none", tmp_path)
    (tmp_path / "train" / "happy" / "deeper").mkdir()
    fails("deeper: expected an image file", tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_refuses_files_that_are_no_image(kaggle, suffix):
    file = kaggle / "train" / "happy" / f"Training_2.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)).save(file)
    whole = file.read_bytes()
    assert len(read_folder(kaggle)) == 43
    for content in (b"", b"text", whole[:20], whole[: len(whole) // 2], whole[2:]):
        file.write_bytes(content)
        fails(rf"happy/Training_2\.{suffix}: expected an image", kaggle)


def test_refuses_sixteen_bits(kaggle):
    put(kaggle, "train/happy/Training_0.png", 300, mode="I;16")
    fails(r"Training_0\.png: expected an image of eight bits", kaggle)


def test_shows_progress_when_asked(kaggle, capsys):
    read_folder(kaggle)
    assert capsys.readouterr().err == ""
    read_folder(kaggle, progress=True)
    assert "42/42" in capsys.readouterr().err
