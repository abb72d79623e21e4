"""The command `fer-study`: help, exit codes, and all steps from a source to a scored run."""

import json
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from fer_utils import cli
from fer_utils.cli import commands, main
from fer_utils.data.faces import load_faces
from fer_utils.results.documents import results_markdown
from fer_utils.training.recipes import get_recipe
from fer_utils.training.runs import run_folder

COMMANDS = (
    *("prepare", "audit", "train", "tune", "ablate", "ensemble", "teach", "score", "results"),
    *("networks", "stage", "study", "export", "predict", "serve", "fetch-yunet"),
)
FER_STUDY = [sys.executable, "-m", "fer_utils.cli"]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """An empty study, whose folder is not the working directory."""
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    monkeypatch.setenv("FER_STUDY_ROOT", str(tmp_path / "study"))
    return tmp_path / "study"


@pytest.fixture
def refused(capsys):
    """Run a command that must end with exit code 2. Returns its only message."""

    def run(*arguments) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        out, err = capsys.readouterr()
        *_, message = err.splitlines()
        assert out == "" and message.startswith("fer-study: ") and "Traceback" not in err
        return message

    return run


# --- help ---


def help_of(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_lists_the_commands(capsys):
    printed = help_of(capsys)
    assert [word for word in COMMANDS if f"\n    {word}" in printed] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_a_valid_example(capsys, command):
    example = help_of(capsys, command).split("example:\n")[1].strip()
    program, *arguments = shlex.split(example)
    assert program == "fer-study" and arguments[0] == command
    assert cli.make_parser().parse_args(arguments).run


def test_missing_and_unknown_commands_are_errors(capsys):
    for arguments in ([], ["prepair"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


# --- from a source to a scored run ---


def test_prepare_train_and_score(study, tiny_network, capsys, monkeypatch):
    assert main(["prepare", "--count", "210", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    faces = load_faces(study / "data" / "prepared")
    assert faces.counts().to_string() in printed
    assert "Note: " in printed and "drawn" in printed
    assert str(study / "data" / "prepared") in printed and printed.count("210") >= 2

    train = "train baseline_cnn --seed 5 --set epochs=2 --set width=0.03 --set flip=false"
    assert main([*shlex.split(train), "--set", "learning_rate=5e-3"]) == 0
    recipe = get_recipe("baseline_cnn").but(epochs=2, width=0.03, flip=False, learning_rate=5e-3)
    folder = run_folder(study / "data" / "runs", recipe, 5, faces)
    assert (folder / "run.json").is_file()
    *table, last = capsys.readouterr().out.splitlines()
    assert last == str(folder) and "val_accuracy" in table[0] and len(table) == 3

    assert main(["score", str(folder)]) == 0
    printed = capsys.readouterr().out.splitlines()
    public, private = ((faces.usage == usage).sum() for usage in ("PublicTest", "PrivateTest"))
    assert f" of {public} images (95 % interval " in printed[0]
    assert f" of {private} images" in printed[1]
    assert not (study / "reports").exists(), "no log of drawn faces"

    assert main(["score", str(folder), "--publish"]) == 2
    assert "found one on drawn faces" in capsys.readouterr().err
    assert not (study / "reports").exists()


def test_an_ablation_is_printed_and_written(study, faces, tiny_network, capsys):
    faces.save(study / "data" / "prepared")
    changes = ["--set", "epochs=1", "--set", "width=0.03", "--set", "name=ablation"]
    assert (
        main(
            ["ablate", "baseline_cnn", "--seeds", "1", *changes, "--out", str(study / "table.csv")]
        )
        == 0
    )
    printed = capsys.readouterr().out
    table = pd.read_csv(study / "table.csv")
    assert table["variant"][0] == "all of it" and {"- mirroring", "+ mixup"} < set(table["variant"])
    assert all(variant in printed for variant in table["variant"])
    assert len(list((study / "data" / "runs").glob("ablation*/run.json"))) == len(table)


def test_results_are_printed_and_written(study, project, canonical, capsys, monkeypatch):
    from fer_utils.data import sources
    from fer_utils.evaluation.published import read_results
    from fer_utils.reports import headline
    from fer_utils.results import aggregates, differences, documents, evidence
    from fer_utils.results.differences import read_differences

    committed = project / "reports" / "evidence"
    table, versus = read_results(committed), read_differences(committed)
    monkeypatch.setattr(evidence, "compute_results", lambda folder, faces: table)
    monkeypatch.setattr(evidence, "read_evidence", lambda folder, faces: {})
    monkeypatch.setattr(differences, "differences", lambda *given: versus)
    monkeypatch.setattr(sources, "read", lambda *given, **more: canonical)
    confusion = aggregates.read_confusion(committed)
    monkeypatch.setattr(aggregates, "released_confusion", lambda *given: confusion)
    written = []
    monkeypatch.setattr(documents, "write_results", lambda *given: written.append(given))
    monkeypatch.setattr(headline, "write_figures", lambda *given: written.append(given))
    assert main(["results", "--csv", "fer2013.csv"]) == 0
    assert capsys.readouterr().out.strip() == results_markdown(table)
    assert written == [], "written without --write"
    assert main(["results", "--csv", "fer2013.csv", "--write"]) == 0
    assert written == [(table, versus, confusion, study), (study,)]


def test_networks_are_listed_as_a_table_and_as_json(capsys, monkeypatch):
    from fer_utils.networks import costs

    # Building all networks takes seconds. test_costs.py tests the real overview.
    found = [
        {
            "name": "m",
            "input": "48x48x1",
            "parameters": 1234,
            "multiply_adds": 5678901,
            "source": "a paper",
        }
    ]
    monkeypatch.setattr(costs, "overview", lambda: found)
    assert main(["networks"]) == 0
    title, line = capsys.readouterr().out.splitlines()
    assert title.split() == ["network", "input", "parameters", "multiply-adds", "source"]
    assert line.split(maxsplit=4) == ["m", "48x48x1", "1,234", "5,678,901", "a paper"]
    assert main(["networks", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_audit_prints_the_figures_as_text_and_as_json(faces, tmp_path, capsys):
    from fer_utils.audits.summary import summarise, summary_text

    faces.save(tmp_path / "faces")
    expected = summarise(load_faces(tmp_path / "faces"))
    assert main(["audit", "--faces", str(tmp_path / "faces"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected
    assert main(["audit", "--faces", str(tmp_path / "faces")]) == 0
    assert capsys.readouterr().out == summary_text(expected) + "\n"
    assert expected["leaked"]["PrivateTest"] > 0


def test_typed_paths_are_relative_to_the_working_directory(study, tmp_path):
    assert main(["prepare", "--count", "30", "--out", "here"]) == 0
    assert len(load_faces(tmp_path / "desk" / "here")) == 30
    assert not study.exists()


# --- errors that the user can correct ---


def test_missing_folders_are_errors_with_the_command_that_makes_them(
    study, refused, faces, tmp_path
):
    assert "fer-study prepare" in refused("train", "baseline_cnn")
    assert "nowhere" in refused("train", "baseline_cnn", "--data", "nowhere")
    assert "nowhere" in refused("audit", "--faces", "nowhere")
    faces.save(tmp_path / "faces")
    assert "fer-study train" in refused("score", "no-run", "--data", tmp_path / "faces")
    assert "fer-study export" in refused("serve", "--model", "nowhere")
    assert "fer-study export" in refused("predict", "photo.jpg", "--model", "nowhere")
    assert "fer-study train" in refused("export", "no-run", "--data", tmp_path / "faces")
    assert "make study" in refused("stage", "explore")


def test_unknown_names_are_errors_with_the_known_names(study, refused, faces, tmp_path):
    assert "expected one of csv, folder, kaggle, sample" in refused("prepare", "--source", "web")
    assert "expected one of baseline_cnn" in refused("train", "seed")
    assert "expected one of prepare, explore, page@explore" in refused("stage", "explor")
    faces.save(tmp_path / "faces")
    printed = refused("train", "baseline_cnn", "--data", tmp_path / "faces", "--set", "widht=0.5")
    assert "unknown option widht; it has width, dropout, batch_norm_momentum" in printed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs", "expected NAME=VALUE, found 'epochs'"),
        ("epochs=many", "epochs: expected a whole number of 1 or more, found 'many'"),
        ("epochs=2.5", "found 2.5"),
        ("learning_rate=-1e-3", "learning_rate: expected a number above 0, found -0.001"),
        ("learning_rate=", "learning_rate: expected a number above 0, found None"),
        ("keep=first", 'keep: expected "best" or "last"'),
        ("name=../elsewhere", "name: expected letters"),
    ],
)
def test_bad_changes_of_a_recipe_are_named(study, refused, change, message):
    assert message in refused("train", "baseline_cnn", "--set", change)


def test_bad_options_and_seeds_are_named(study, refused, faces, tmp_path):
    faces.save(tmp_path / "faces")
    train = ["train", "baseline_cnn", "--data", tmp_path / "faces"]
    assert "seed: expected a whole number" in refused(*train, "--seed", "-1")
    assert "expected other options than" in refused(*train, "--set", "dropout=2")


def test_errors_of_the_system_have_no_traceback(study, refused, tmp_path):
    (tmp_path / "file").touch()
    assert "file" in refused("prepare", "--count", "30", "--out", tmp_path / "file" / "below")


def test_the_process_exits_with_code_2_and_one_message(study, tmp_path):
    (tmp_path / "bad.csv").write_text("emotion,pixels,Usage\n0,1 2 3,Training\n")
    command = [
        *FER_STUDY,
        "prepare",
        "--source",
        "csv",
        "--path",
        tmp_path / "bad.csv",
        "--out",
        "out",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert "bad.csv" in done.stderr and "Traceback" not in done.stderr
    assert not any((tmp_path / "desk").iterdir())


def test_an_interrupt_has_no_traceback(monkeypatch, capsys):
    def interrupt(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "stage", interrupt)
    assert main(["stage", "explore"]) == 130
    assert capsys.readouterr().err == "fer-study: interrupted\n"


def test_a_program_error_keeps_its_traceback(monkeypatch):
    def fail(given):
        raise TypeError("a bug")

    monkeypatch.setattr(commands, "stage", fail)
    with pytest.raises(TypeError, match="a bug"):
        main(["stage", "explore"])


# --- export and serve ---


def test_export_writes_what_serve_loads(run, faces, tmp_path, capsys, monkeypatch):
    from fer_utils import serving

    faces.save(tmp_path / "faces")
    out = tmp_path / "model"
    assert (
        main(["export", str(run.folder), "--data", str(tmp_path / "faces"), "--out", str(out)]) == 0
    )
    assert f"Exported to {out}" in capsys.readouterr().out

    served = []
    monkeypatch.setattr(
        serving, "serve", lambda recognizer, **options: served.append((recognizer, options))
    )
    monkeypatch.setenv("FER_STUDY_TOKEN", "secret")
    assert (
        main(
            [
                "serve",
                "--model",
                str(out),
                "--port",
                "0",
                "--video",
                "clip.mp4",
                "--trusted-host",
                "faces.lan",
            ]
        )
        == 0
    )
    assert main(["serve", "--model", str(out), "--token", "other"]) == 0
    (recognizer, first), (_, second) = served
    assert recognizer.card["fingerprint"] == run.info.fingerprint
    assert (first["host"], first["port"], first["token"]) == ("127.0.0.1", 0, "secret")
    assert (first["camera"], first["video"]) == (None, Path("clip.mp4"))
    assert first["trusted_hosts"] == (*serving.LOCAL_HOSTS, "faces.lan")
    assert second["token"] == "other"
    # Without the option, the server itself derives the names from the host.
    assert "trusted_hosts" not in second
    assert second["token"] == "other"


# --- no partial files ---


def test_a_failed_prepare_keeps_the_old_faces(study, faces, refused, tmp_path):
    faces.save(tmp_path / "out")
    (tmp_path / "bad.csv").write_text("emotion,pixels,Usage\n0,1 2 3,Training\n")
    refused("prepare", "--source", "csv", "--path", tmp_path / "bad.csv", "--out", tmp_path / "out")
    assert load_faces(tmp_path / "out").fingerprint == faces.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "desk", "out"]


def test_prepare_never_replaces_another_folder(study, refused, tmp_path):
    (tmp_path / "desk" / "thesis.tex").touch()
    assert "expected nothing, or prepared faces" in refused(
        "prepare", "--count", "30", "--out", "."
    )
    assert [path.name for path in (tmp_path / "desk").iterdir()] == ["thesis.tex"]


@pytest.mark.slow
@pytest.mark.parametrize("old", [False, True])
def test_prepare_killed_at_any_moment_leaves_complete_faces_or_none(study, faces, tmp_path, old):
    out, generator = tmp_path / "out", random.Random(old)
    if old:
        faces.save(out)
    command = [*FER_STUDY, "prepare", "--count", "60", "--out", str(out)]
    started = time.monotonic()
    subprocess.run([*command[:-1], str(tmp_path / "whole")], check=True, capture_output=True)
    usual, new = time.monotonic() - started, load_faces(tmp_path / "whole")

    moments = [generator.uniform(0.3, 1) * usual for _ in range(8)]
    # None: while the folder is written, shortly after its temporary folder appears.
    moments += [None] * 8
    for moment in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = set(tmp_path.glob(".out-*"))
        if moment is None:
            while process.poll() is None and set(tmp_path.glob(".out-*")) == before:
                pass
            time.sleep(generator.uniform(0, 0.01))
        else:
            time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if out.exists():
            assert load_faces(out).fingerprint in {new.fingerprint, faces.fingerprint}
    subprocess.run(command, check=True, capture_output=True)
    assert load_faces(out).fingerprint == new.fingerprint
