"""No command replaces a user's file, for every option that names an output."""

import argparse
import shutil

import pytest
from PIL import Image
from skimage import data

from fer_utils import cli
from fer_utils.cli import main, parser
from fer_utils.training.fit import fit
from fer_utils.training.runs import run_folder

FILE, FOLDER = "file", "folder"

# Options that name an output, and its kind.
OUTPUTS = {
    ("prepare", "--out"): FOLDER,
    ("export", "--out"): FOLDER,
    ("export", "--web"): FOLDER,
    ("tune", "--out"): FOLDER,
    ("notebook", "--out"): FOLDER,
    ("ablate", "--out"): FILE,
    ("predict", "--annotate"): FILE,
    ("predict", "--annotate (folder)"): FOLDER,
}
# `ablate` trains for minutes, and `notebook` replaces nothing. `--web` needs more files, and is in
# tests/serving/test_on_device.py.
REPLACED = [key for key in OUTPUTS if key[0] not in ("ablate", "notebook") and key[1] != "--web"]
# Options with paths of inputs, and the run store, whose folders are named by their contents.
READ = {
    "--data",
    "--faces",
    "--path",
    "--votes",
    "--csv",
    "--model",
    "--yunet",
    "--onnxruntime-web",
    "--video",
    "--runs",
}


def subcommands() -> dict[str, argparse.ArgumentParser]:
    (choices,) = [
        action.choices
        for action in cli.make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    return choices


def test_every_option_with_a_path_is_listed_here():
    """A new output fails here until the tests below include it."""
    options = {
        (name, action.option_strings[0])
        for name, subparser in subcommands().items()
        for action in subparser._actions
        if action.type in (parser.path, parser.path_or_none) and action.option_strings
    }
    written = {(name, option) for name, option in options if option not in READ}
    assert written == {key for key in OUTPUTS if " " not in key[1]}


@pytest.fixture(scope="module")
def study(faces, recipe, tmp_path_factory):
    """A folder with faces, a finished run and photos, the working folder of the commands."""
    folder = tmp_path_factory.mktemp("study")
    faces.save(folder / "faces")
    fit(recipe, faces, 1, folder / "runs", progress=False)
    (folder / "photos").mkdir()
    Image.fromarray(data.astronaut()).save(folder / "photos" / "a.jpg")
    return folder, run_folder(folder / "runs", recipe, 1, faces)


def command(option: tuple[str, str], folder, run, out) -> list[str]:
    faces, runs = ["--data", folder / "faces"], ["--runs", folder / "runs"]
    small = ["--set", "epochs=1", "--set", "width=0.03"]
    return {
        ("prepare", "--out"): ["prepare", "--count", "30", "--out", out],
        ("export", "--out"): ["export", run, *faces, "--out", out],
        ("export", "--web"): ["export", "--web", out],
        ("tune", "--out"): [
            *("tune", "baseline_cnn", *small, "--search", "dropout=0.1..0.5", "--trials", "1"),
            *(*faces, *runs, "--out", out),
        ],
        ("ablate", "--out"): [
            *("ablate", "mini_xception", *small, "--seeds", "1", *faces, *runs, "--out", out),
        ],
        ("notebook", "--out"): ["notebook", "01", "--out", out],
        ("predict", "--annotate"): ["predict", folder / "photos" / "a.jpg", "--annotate", out],
        ("predict", "--annotate (folder)"): ["predict", folder / "photos", "--annotate", out],
    }[option]


def run_command(words) -> int:
    return main([str(word) for word in words])


def everything(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", OUTPUTS, ids=" ".join)
def test_a_users_files_are_kept(option, study, tmp_path, capsys):
    """Also files with the names that the command would write, in a folder with other files."""
    folder, run = study
    place = tmp_path / "place"
    mine = tmp_path / "mine"
    if OUTPUTS[option] == FILE:
        out = place / ("out.png" if option[0] == "predict" else "out.csv")
        place.mkdir()
        Image.fromarray(data.astronaut()).save(out, "PNG")
    else:
        out = place
        names = {
            "prepare": ["about.json", "thesis.txt"],
            "export": ["card.json", "README.md", "index.html", "thesis.txt"],
            "tune": ["ledger.csv", "thesis.txt"],
            "notebook": ["01_explore.html"],
            "predict": ["a.jpg.png"],
        }[option[0]]
        place.mkdir()
        for name in names:
            (place / name).write_text("mine")
    shutil.copytree(place, mine)
    kept = everything(place)
    assert run_command(command(option, folder, run, out)) == 2
    assert "expected nothing" in capsys.readouterr().err
    assert everything(place) == kept


@pytest.mark.parametrize("option", REPLACED, ids=" ".join)
def test_the_commands_own_output_is_replaced(option, study, tmp_path):
    folder, run = study
    out = tmp_path / "out.png" if option == ("predict", "--annotate") else tmp_path / "out"
    words = command(option, folder, run, out)
    for _ in range(2):
        assert run_command(words) == 0
    assert out.exists()


def test_the_commands_own_table_is_replaced(study, tmp_path, monkeypatch, capsys):
    """A stand-in replaces the ablation, which trains for minutes."""
    import pandas as pd

    folder, run = study
    table = pd.DataFrame({"variant": ["all"], "accuracy": [0.5]})
    monkeypatch.setattr("fer_utils.training.ablation.ablate", lambda *args, **kwargs: table)
    words = command(("ablate", "--out"), folder, run, tmp_path / "table.csv")
    for _ in range(2):
        assert run_command(words) == 0
    assert (tmp_path / "table.csv").read_text().startswith("variant,accuracy")


def test_a_photo_is_never_annotated_over_itself(study, tmp_path, capsys):
    folder, _ = study
    photo = tmp_path / "a.jpg"
    shutil.copyfile(folder / "photos" / "a.jpg", photo)
    (tmp_path / "link.jpg").symlink_to(photo)
    before = photo.read_bytes()
    for out in ("a.jpg", "link.jpg"):
        assert main(["predict", str(photo), "--annotate", str(tmp_path / out)]) == 2
        assert "expected another file than the one that is read" in capsys.readouterr().err
    assert main(["predict", str(tmp_path), "--annotate", str(tmp_path)]) == 0
    assert photo.read_bytes() == before
