"""The parser of `fer-study`: its commands and their options."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_utils.cli import commands
from fer_utils.cli.environment import CommandParser
from fer_utils.paths import EVIDENCE, resolve


def path(text: str) -> Path:
    """A typed path, relative to the working folder. It expands ~, which not every shell does."""
    return Path(text).expanduser()


def path_or_none(text: str) -> Path | None:
    """A path, or None for an empty text, which make passes for a setting without a value."""
    return path(text) if text else None


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands. The parsed arguments have a function `run`."""
    parser = argparse.ArgumentParser(
        prog="fer-study",
        description="A reproducible study of facial-expression recognition on FER-2013. "
        "`make study` runs all of it. These commands are its parts.",
    )
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    recipe = _shared("recipe", help="name of a recipe; an unknown name lists them")
    data = _shared(
        "--data",
        type=path,
        default=resolve("data/prepared"),
        help="prepared faces; default: data/prepared",
    )
    runs = _shared(
        "--runs", type=path, default=resolve("data/runs"), help="run store; default: data/runs"
    )

    def command(
        name: str, run: Callable, summary: str, example: str, *parents: CommandParser
    ) -> CommandParser:
        added = subparsers.add_parser(
            name,
            parents=parents,
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
        "read a source of faces and write the folder that all other commands read",
        "fer-study prepare --source csv --path data/raw/fer2013.csv.gz --out data/prepared",
    )
    add.add_argument(
        "--source",
        help="sample (drawn faces), csv, folder or kaggle; default: the kind of --path, or sample",
    )
    add.add_argument(
        "--path", type=path, help="the CSV (also .gz, .zip, .tar.gz) or the folder of images"
    )
    add.add_argument("--votes", type=path, help="FER+ votes (fer2013new.csv)")
    add.add_argument(
        "--out", type=path, default=resolve("data/prepared"), help="default: data/prepared"
    )
    add.add_argument(
        "--resize", action="store_true", help="folder: resize images that are not 48 × 48"
    )
    add.add_argument(
        "--test-usage", help="folder: split of test/: PublicTest, PrivateTest, or split (half each)"
    )
    add.add_argument(
        "--count", type=int, default=3200, help="sample: number of faces; default: 3200"
    )
    add.add_argument("--seed", type=int, default=0, help="sample: random seed; default: 0")

    add = command(
        "study",
        commands.study,
        "run the stages of the study that have changed, as `make study` does",
        "fer-study study --profile cpu --data path/to/fer2013.csv.gz",
    )
    add.add_argument("--profile", default="sample", help="sample, cpu or full; default: sample")
    add.add_argument(
        "--data", type=path_or_none, help="Kaggle's CSV, packed or not, or a folder of images"
    )
    add.add_argument("--votes", type=path_or_none, help="FER+ votes (fer2013new.csv)")
    _set_option(add, "set a parameter, such as replicate.epochs=2; may be repeated")

    add = command(
        "audit",
        commands.audit,
        "audit prepared faces: duplicates, leaks into the test splits, blanks, doubtful labels",
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
        "train a recipe with a seed, or continue an interrupted training",
        "fer-study train baseline_cnn --seed 1 --data data/prepared",
        recipe,
        data,
        runs,
    )
    add.add_argument("--seed", type=int, default=1, help="random seed; default: 1")
    _set_option(
        add,
        "set a field of the recipe or an option of its network: epochs=3, width=0.25; "
        "may be repeated",
    )

    add = command(
        "tune",
        commands.tune,
        "search for better hyperparameters of a recipe, or continue an interrupted search",
        "fer-study tune baseline_cnn --set width=0.25 --search dropout=0.1..0.5",
        recipe,
        data,
        runs,
    )
    add.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="a hyperparameter and its values; may be repeated: width=0.25,0.5 depth=1,2 "
        "schedule=plateau,cosine optimizer=adam,sgd loss=cross_entropy,squared_hinge "
        "dropout=0.1..0.5 learning_rate=1e-4..5e-3 sgd_learning_rate=0.01..0.3 "
        "weight_decay=1e-5..1e-2 label_smoothing=0..0.2 augmentation=0..1.5",
    )
    add.add_argument(
        "--oracle", default="bayesian", help="random, bayesian or hyperband; default: bayesian"
    )
    add.add_argument("--trials", type=int, default=20, help="largest number of trials; default: 20")
    add.add_argument(
        "--seed",
        type=int,
        default=1,
        help="random seed of the search and of every trial; default: 1",
    )
    add.add_argument(
        "--random",
        action="store_true",
        help="afterwards run a random search with the same number of epochs, for comparison",
    )
    add.add_argument(
        "--retrain",
        type=int,
        default=0,
        metavar="SEEDS",
        help="afterwards retrain the winner, the runner-up and the untuned recipe with this many "
        "other seeds, at least 3",
    )
    add.add_argument(
        "--out",
        type=path,
        default=resolve("data/search"),
        help="folder for the tables; default: data/search",
    )
    _set_option(add, "change the recipe first, as in `train`")
    role = add.add_mutually_exclusive_group()
    role.add_argument(
        "--chief",
        metavar="HOST:PORT",
        help="select the trials, and listen for workers at this address",
    )
    role.add_argument(
        "--worker", metavar="HOST:PORT", help="train the trials of the chief at this address"
    )
    add.add_argument("--id", metavar="N", help="a worker's number or name, unique among workers")
    add.add_argument(
        "--patience",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="chief: give up the trial of a worker that is silent for this long; worker: wait this "
        "long for the chief; default: 300",
    )

    add = command(
        "ablate",
        commands.ablate,
        "train a recipe without each of its components, and with more, and compare on PublicTest",
        "fer-study ablate small_resnet --seeds 1 2 --set name=ablation --set epochs=12",
        recipe,
        data,
        runs,
    )
    add.add_argument(
        "--seeds", type=int, nargs="+", default=[1, 2, 3], help="random seeds; default: 1 2 3"
    )
    add.add_argument("--out", type=path, metavar="FILE", help="also write the table as CSV")
    _set_option(add, "change the recipe first, as in `train`")

    add = command(
        "ensemble",
        commands.ensemble,
        "select an ensemble of published runs on PublicTest; with --publish score it and keep it",
        "fer-study ensemble --size 8 --publish ensemble",
        data,
    )
    add.add_argument(
        "labels",
        metavar="RUN",
        nargs="*",
        help=f"runs to select from (default: all in {EVIDENCE}/ not distilled from FER+ votes)",
    )
    add.add_argument(
        "--size", type=int, default=8, help="largest number of members, with repeats; default: 8"
    )
    add.add_argument(
        "--publish",
        metavar="NAME",
        help=f"write it to {EVIDENCE}/ensembles/, and log its use of PrivateTest",
    )

    add = command(
        "teach",
        commands.teach,
        "store the predictions of networks for the training images, for distillation",
        "fer-study teach data/runs/resnet-seed1-* data/runs/resnet-seed2-* --recipe student "
        "--set teacher_views=20",
        data,
        runs,
    )
    add.add_argument(
        "run_folders",
        metavar="RUN",
        type=path,
        nargs="*",
        help="finished runs or exported models; one that is named twice counts twice",
    )
    add.add_argument(
        "--recipe",
        default="",
        help="the student's recipe: predict its augmented versions of each image (such as --set "
        "teacher_views=20) instead of the images and their flips",
    )
    _set_option(add, "a field of this recipe; repeat it for others")
    add.add_argument(
        "--votes",
        action="store_true",
        help="store FER+ votes instead; these are not FER-2013's labels",
    )

    add = command(
        "score",
        commands.score,
        "score a finished run on PrivateTest once, and log it",
        "fer-study score data/runs/baseline_cnn-seed1-0123456789ab --publish",
        data,
    )
    add.add_argument("run_folder", metavar="RUN", type=path, help="the run's folder")
    add.add_argument(
        "--publish", action="store_true", help=f"also write the run's evidence to {EVIDENCE}/"
    )

    add = command(
        "results",
        commands.results,
        "compute the tables of results from the evidence and FER-2013",
        "fer-study results --csv data/raw/fer2013.csv.gz",
    )
    add.add_argument("--csv", type=path, required=True, help="Kaggle's CSV, packed or not")
    add.add_argument(
        "--write",
        action="store_true",
        help=f"write them to {EVIDENCE}/, README.md and docs/results.md",
    )

    command(
        "publish",
        commands.publish,
        "keep the report of `make report` in docs/report/, and its findings in the evidence",
        "fer-study publish",
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
        help="prepare, explore, replicate, tune, final_model, analyse_errors, serve, a page such "
        "as page@explore, or report",
    )

    add = command(
        "notebook",
        commands.notebook,
        "run one notebook with other parameters, into a folder of its own",
        "fer-study notebook 05 -p split=PublicTest",
    )
    add.add_argument("notebook", help="its number or name, such as 05 or 05_analyse_errors")
    add.add_argument(
        "-p",
        dest="set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter; may be repeated; the others are those of params.yaml",
    )
    add.add_argument(
        "--out", type=path, help="a new or empty folder; default: reports/own/NOTEBOOK-NUMBER"
    )

    add = command(
        "export",
        commands.export,
        "export a finished run as ONNX, with Keras weights and a model card; or, with --web, the "
        "page for a static host",
        "fer-study export data/runs/tuned-seed1-0123456789ab --out my_model",
        data,
    )
    add.add_argument("run_folder", metavar="RUN", type=path, nargs="?", help="the run's folder")
    add.add_argument("--out", type=path, help="folder; default: data/models/RUN")
    add.add_argument(
        "--int8",
        action="store_true",
        help="quantise to 8-bit integers if this is faster and costs at most 0.3 points",
    )
    add.add_argument(
        "--web",
        type=path,
        metavar="FOLDER",
        help="in place of a run: write the page to a folder that any static host can serve; it "
        "answers on the visitor's device",
    )
    _model_option(add, "with --web: ")
    _yunet_option(add, "with --web: ")
    _runtime_option(add)

    add = command(
        "predict",
        commands.predict,
        "find faces in photos, a folder of photos or a video, and classify their expressions",
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
        help="print JSON: one object for a single photo, otherwise one object per line",
    )
    form.add_argument(
        "--csv",
        action="store_true",
        help="print CSV: one row per face, in a video one row per face and frame",
    )
    add.add_argument(
        "--annotate",
        metavar="OUT",
        type=path,
        help="annotated photo or clip (.mp4, .webm) to write; a folder for several photos",
    )
    _recognition_options(add)

    add = command(
        "serve",
        commands.serve,
        "serve a web page and an API that classify expressions in photos",
        "fer-study serve --port 5000",
    )
    _recognition_options(add)
    _server_options(add)

    command(
        "fetch-yunet",
        commands.fetch_yunet,
        "download the YuNet face detector, and check its hash",
        "fer-study fetch-yunet",
    )
    return parser


def _shared(*names: str, **options) -> CommandParser:
    """A parser with one argument, as a parent of the commands that have it."""
    parser = CommandParser(add_help=False)
    parser.add_argument(*names, **options)
    return parser


def _set_option(parser: argparse.ArgumentParser, meaning: str) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=meaning)


def _recognition_options(parser: argparse.ArgumentParser) -> None:
    _model_option(parser)
    parser.add_argument(
        "--detector",
        choices=("auto", "haar", "yunet"),
        default="auto",
        help="face detector; default: auto, which is YuNet if its file can be fetched (once, "
        "317 kB; FER_STUDY_OFFLINE=1 forbids it), else haar",
    )
    _yunet_option(parser)


def _model_option(parser: argparse.ArgumentParser, when: str = "") -> None:
    parser.add_argument(
        "--model",
        type=path,
        help=f"{when}folder of an exported model; default: the released model",
    )


def _yunet_option(parser: argparse.ArgumentParser, when: str = "") -> None:
    parser.add_argument(
        "--yunet",
        type=path,
        metavar="FILE",
        help=f"{when}YuNet's model file; default: the download of `fetch-yunet`",
    )


def _runtime_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--onnxruntime-web",
        type=path,
        metavar="FOLDER",
        help="onnxruntime-web's files, with which the page answers on the visitor's device; "
        "default: those of `make on-device`, if YuNet is there too",
    )


def _server_options(parser: CommandParser) -> None:
    """Add the options of the server alone. Each has an environment variable, as --model has."""
    parser.from_environment = True
    parser.description = (
        f"{parser.description}\n\nAn environment variable can give each option: FER_STUDY_PORT is "
        "--port.\nSeveral values have commas between them."
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address; default: 127.0.0.1, this machine only")
    add("--port", type=int, default=5000, help="default: 5000; 0 takes a free one")
    add(
        "--token",
        help="bearer token that clients must send; better as a variable, which others cannot see",
    )
    add(
        "--trusted-host",
        **_SEVERAL,
        metavar="NAME",
        help="further name of this server that a request may address; default: the names of this "
        "machine, or all names with another --host",
    )
    add(
        "--proxies",
        type=_at_least(0),
        default=0,
        metavar="N",
        help="proxies in front, from whose headers the public address and the client are read; "
        "default: 0",
    )
    add(
        "--cors-origin",
        **_SEVERAL,
        metavar="ORIGIN",
        help="other site whose pages may use the API, such as https://lab.example, or *; "
        "default: none",
    )
    add(
        "--frame-ancestor",
        **_SEVERAL,
        metavar="SOURCE",
        help="site that may show the page in a frame, or 'none'; default: this one and others on "
        "this machine",
    )
    add(
        "--access-log",
        choices=("plain", "json", "off"),
        default="plain",
        help="form of the line for each request on stderr; default: plain",
    )
    add(
        "--at-once",
        type=_at_least(1),
        metavar="N",
        help="requests that are processed in parallel; default: the processor cores",
    )
    add(
        "--waiting",
        type=_at_least(0),
        default=16,
        metavar="N",
        help="requests that may wait, before others are refused with 503; default: 16",
    )
    add(
        "--max-upload-mb",
        type=_at_least(1),
        default=10,
        metavar="MB",
        help="largest request, in 1,048,576 bytes; default: 10",
    )
    add(
        "--max-photos",
        type=_at_least(1),
        default=16,
        metavar="N",
        help="photos in one request; default: 16",
    )
    add(
        "--max-memory-mb",
        type=_at_least(1),
        default=320,
        metavar="MB",
        help="memory for the photos in work, in 1,000,000 bytes; a photo that needs more is "
        "refused; default: 320, a PNG of 45 million pixels or a HEIC of 24 million",
    )
    add(
        "--viewers",
        type=_at_least(1),
        default=8,
        metavar="N",
        help="viewers of /video_feed at the same time; default: 8",
    )
    _runtime_option(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--camera", type=int, metavar="N", help="show this machine's camera N at /video_feed"
    )
    source.add_argument(
        "--video", type=path, metavar="FILE", help="show a video file at /video_feed"
    )


_SEVERAL: dict[str, Any] = {"action": "append", "default": []}


def _at_least(least: int) -> Callable[[str], int]:
    """A type of argparse: a whole number that is not smaller."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least}")
        return int(text)

    return convert
