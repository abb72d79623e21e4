"""The commands of `fer-study` and their options."""

import argparse
from collections.abc import Callable
from pathlib import Path

from fer_utils.cli import commands
from fer_utils.paths import EVIDENCE, resolve


def path(text: str) -> Path:
    """A path that was typed: from the working folder, as every path of a command line. Not every shell expands ~."""
    return Path(text).expanduser()


def path_or_none(text: str) -> Path | None:
    """A path, or None where nothing stands: make hands on settings that nobody gave as empty words."""
    return path(text) if text else None


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; what was given has the function `run`, which does it."""
    parser = argparse.ArgumentParser(
        prog="fer-study",
        description="A reproducible study of facial-expression recognition on FER-2013. `make study` runs all of it; "
        "these are its parts.",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable, summary: str, example: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    add = command(
        "prepare",
        commands.prepare,
        "turn a source of faces into the folder that everything else reads",
        "fer-study prepare --source csv --path data/raw/fer2013.csv.gz --out data/prepared",
    )
    add.add_argument(
        "--source",
        help="sample (drawn faces), csv, folder or kaggle; default: what --path is, or sample without it",
    )
    add.add_argument(
        "--path", type=path, help="the CSV (also .gz, .zip, .tar.gz) or the folder of images"
    )
    add.add_argument("--votes", type=path, help="FER+ votes (fer2013new.csv)")
    add.add_argument(
        "--out", type=path, default=resolve("data/prepared"), help="default: data/prepared"
    )
    add.add_argument("--resize", action="store_true", help="folder: scale images of another size")
    add.add_argument("--test-usage", help="folder: what test/ is: PublicTest, PrivateTest or split")
    add.add_argument(
        "--count", type=int, default=3500, help="sample: number of faces; default: 3500"
    )
    add.add_argument("--seed", type=int, default=0, help="sample: seed of the drawing; default: 0")

    add = command(
        "study",
        commands.study,
        "run the whole study, or what has changed of it, as `make study` does",
        "fer-study study --profile cpu --data path/to/fer2013.csv.gz",
    )
    add.add_argument("--profile", default="sample", help="sample, cpu or full; default: sample")
    add.add_argument(
        "--data", type=path_or_none, help="faces to study: Kaggle's CSV in any packing, or a folder"
    )
    add.add_argument("--votes", type=path_or_none, help="FER+ votes (fer2013new.csv)")
    _set_option(add, "a parameter, such as replicate.epochs=2")

    add = command(
        "audit",
        commands.audit,
        "audit prepared faces: copies, leaks into the test splits, blanks, doubtful labels",
        "fer-study audit --faces data/prepared --json",
    )
    add.add_argument(
        "--faces",
        type=path,
        default=resolve("data/prepared"),
        help="prepared faces; default: data/prepared",
    )
    add.add_argument("--json", action="store_true", help="as JSON, for programs")

    add = command(
        "train",
        commands.train,
        "train a recipe with a seed, all its folds where it has them, or go on where it was interrupted",
        "fer-study train baseline_cnn --seed 1 --data data/prepared",
    )
    add.add_argument("recipe", help="a name; an unknown one lists those there are")
    add.add_argument("--seed", type=int, default=1, help="default: 1")
    _data_option(add)
    _runs_option(add)
    _set_option(
        add,
        "change a field of the recipe or an option of its network: epochs=3, width=0.25; may be repeated",
    )

    add = command(
        "tune",
        commands.tune,
        "search for better hyperparameters of a recipe, or go on where the search was interrupted",
        "fer-study tune baseline_cnn --set width=0.25 --search dropout=0.1..0.5 --search learning_rate=1e-4..5e-3",
    )
    add.add_argument("recipe", help="a name; an unknown one lists those there are")
    add.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="what may change, once for each: width=0.25,0.5 depth=1,2 schedule=plateau,cosine optimizer=adam,sgd "
        "loss=cross_entropy,squared_hinge dropout=0.1..0.5 learning_rate=1e-4..5e-3 sgd_learning_rate=0.01..0.3 "
        "weight_decay=1e-5..1e-2 label_smoothing=0..0.2 augmentation=0..1.5",
    )
    add.add_argument(
        "--oracle", default="bayesian", help="random, bayesian or hyperband; default: bayesian"
    )
    add.add_argument("--trials", type=int, default=20, help="how many, at most; default: 20")
    add.add_argument(
        "--seed", type=int, default=1, help="of the search and of each trial; default: 1"
    )
    add.add_argument(
        "--random",
        action="store_true",
        help="then search at random with as many epochs, to compare with",
    )
    add.add_argument(
        "--retrain",
        type=int,
        default=0,
        metavar="SEEDS",
        help="then train the winner, the runner-up and the untuned recipe with so many other seeds, at least 3",
    )
    _data_option(add)
    _runs_option(add)
    add.add_argument(
        "--out",
        type=path,
        default=resolve("data/search"),
        help="of the tables; default: data/search",
    )
    _set_option(add, "change the recipe first, as in `train`")
    role = add.add_mutually_exclusive_group()
    role.add_argument(
        "--chief",
        metavar="HOST:PORT",
        help="choose the trials that workers train, and listen to them here",
    )
    role.add_argument(
        "--worker", metavar="HOST:PORT", help="train the trials that the chief there chooses"
    )
    add.add_argument("--id", metavar="N", help="a worker's number or name, unlike the others'")
    add.add_argument(
        "--patience",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="chief: give up the trial of a worker not heard of for so long; worker: wait so long for the chief; "
        "default: 300",
    )

    add = command(
        "ablate",
        commands.ablate,
        "train a recipe without each of its ingredients, and with one more, and compare them on PublicTest",
        "fer-study ablate small_resnet --seeds 1 2 --set name=ablation --set epochs=12 --set width=0.5",
    )
    add.add_argument("recipe", help="a name; an unknown one lists those there are")
    add.add_argument(
        "--seeds", type=int, nargs="+", default=[1, 2, 3], help="of each variant; default: 1 2 3"
    )
    _data_option(add)
    _runs_option(add)
    add.add_argument("--out", type=path, metavar="FILE", help="also write the table as CSV")
    _set_option(add, "change the recipe first, as in `train`")

    add = command(
        "ensemble",
        commands.ensemble,
        "choose an ensemble of published runs on PublicTest, greedily, and with --publish keep it and score it",
        "fer-study ensemble --size 8 --publish ensemble",
    )
    add.add_argument(
        "labels",
        metavar="RUN",
        nargs="*",
        help=f"which of {EVIDENCE}/; default: all, but for FER+'s track",
    )
    add.add_argument(
        "--size", type=int, default=8, help="the most members, repeated ones counted; default: 8"
    )
    add.add_argument(
        "--data",
        type=path,
        default=resolve("data/prepared"),
        help="prepared FER-2013; default: data/prepared",
    )
    add.add_argument(
        "--publish",
        metavar="NAME",
        help=f"keep it in {EVIDENCE}/ensembles/, and log its PrivateTest use",
    )

    add = command(
        "teach",
        commands.teach,
        "keep what trained networks say of the training images, as soft labels for another network",
        "fer-study teach data/runs/resnet-seed1-* data/runs/resnet-seed2-*",
    )
    add.add_argument(
        "run_folders",
        metavar="RUN",
        type=path,
        nargs="*",
        help="finished runs; one named twice counts twice",
    )
    add.add_argument(
        "--votes",
        action="store_true",
        help="FER+'s votes instead: a track of its own, not FER-2013's labels",
    )
    _data_option(add)
    _runs_option(add)

    add = command(
        "score",
        commands.score,
        "score a finished run on PrivateTest, once, and log it",
        "fer-study score data/runs/baseline_cnn-seed1-0123456789ab --publish",
    )
    add.add_argument("run_folder", metavar="RUN", type=path, help="the run's folder")
    _data_option(add)
    add.add_argument(
        "--publish", action="store_true", help=f"also keep the run's evidence in {EVIDENCE}/"
    )

    add = command(
        "results",
        commands.results,
        "compute the table of real results from the evidence and FER-2013",
        "fer-study results --csv data/raw/fer2013.csv.gz",
    )
    add.add_argument("--csv", type=path, required=True, help="Kaggle's CSV, in any packing")
    add.add_argument(
        "--write", action="store_true", help=f"put it into README.md and {EVIDENCE}/results.csv"
    )

    add = command(
        "networks",
        commands.networks,
        "list the networks: input, parameters, multiply-adds, source",
        "fer-study networks",
    )
    add.add_argument("--json", action="store_true", help="as JSON, for programs")

    add = command(
        "stage",
        commands.stage,
        "run one stage of the pipeline with its section of params.yaml",
        "fer-study stage explore",
    )
    add.add_argument(
        "stage",
        help="prepare, explore, replicate, tune, final_model, analyse_errors, serve or report",
    )

    add = command(
        "export",
        commands.export,
        "export a finished run for `Recognizer` and the server: ONNX, Keras weights and a model card",
        "fer-study export data/runs/tuned-seed1-0123456789ab --out my_model",
    )
    add.add_argument("run_folder", metavar="RUN", type=path, help="the run's folder")
    _data_option(add)
    add.add_argument("--out", type=path, help="folder; default: data/models/RUN")
    add.add_argument(
        "--int8", action="store_true", help="8-bit integers, where that is as good and faster"
    )

    add = command(
        "predict",
        commands.predict,
        "recognise the expressions in a photo, a folder of photos, or a video",
        "fer-study predict photo.jpg --annotate annotated.png",
    )
    add.add_argument(
        "paths",
        metavar="PHOTO|FOLDER|VIDEO",
        type=path,
        nargs="+",
        help="several photos, or one video",
    )
    form = add.add_mutually_exclusive_group()
    form.add_argument(
        "--json",
        action="store_true",
        help="print JSON; of a single photo one object, otherwise an object a line",
    )
    form.add_argument(
        "--csv",
        action="store_true",
        help="print CSV, a row a face (of a video, a row a face a frame)",
    )
    add.add_argument(
        "--annotate",
        metavar="OUT",
        type=path,
        help="write the annotated photo or clip (.mp4, .webm); of a folder or several photos, the folder for them",
    )
    _recognition_options(add)

    add = command(
        "serve",
        commands.serve,
        "serve the page and the API that recognise expressions in photos",
        "fer-study serve --port 5000",
    )
    _recognition_options(add)
    add.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    add.add_argument("--port", type=int, default=5000, help="default: 5000; 0 takes a free one")
    add.add_argument(
        "--token",
        help="ask clients for this bearer token; FER_STUDY_TOKEN in the environment does the same, unseen",
    )
    add.add_argument(
        "--trusted-host",
        action="append",
        metavar="NAME",
        help="a name that a proxy before it is called by; may be repeated",
    )
    source = add.add_mutually_exclusive_group()
    source.add_argument(
        "--camera", type=int, metavar="N", help="show this machine's camera N at /video_feed"
    )
    source.add_argument(
        "--video", type=path, metavar="FILE", help="show a video file at /video_feed"
    )

    command(
        "fetch-yunet",
        commands.fetch_yunet,
        "download the YuNet face detector once, checked, for `--detector yunet`",
        "fer-study fetch-yunet",
    )
    return parser


def _data_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=path,
        default=resolve("data/prepared"),
        help="prepared faces; default: data/prepared",
    )


def _runs_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", type=path, default=resolve("data/runs"), help="the run store; default: data/runs"
    )


def _set_option(parser: argparse.ArgumentParser, meaning: str) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=meaning)


def _recognition_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        type=path,
        help="folder of an exported model; default: the released one, trained on real faces",
    )
    parser.add_argument(
        "--detector", choices=("haar", "yunet"), default="haar", help="face detector; default: haar"
    )
    parser.add_argument(
        "--yunet", type=path, metavar="FILE", help="YuNet's model file; default: `fetch-yunet`'s"
    )
