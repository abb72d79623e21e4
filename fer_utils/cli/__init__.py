"""The console command `fer-study`."""

import argparse
import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fer_utils.errors import StudyError
from fer_utils.paths import resolve

EVIDENCE = "reports/evidence"
SERVE_EXTRA = ("flask", "waitress", "prometheus_client")
"""What the server imports; of the packages that are no part of the plain installation all others come with `study`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fer-study`. Returns the exit code: 0, or 2 for something that the user can mend."""
    # A name need not be one that the terminal's encoding has: what it lacks is written as an escape.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = _parser().parse_args(arguments)
    try:
        given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads, such as `head`, has seen enough. Python would try to write the rest as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    # An OSError is no fault of the program either: a disk that is full, a folder that may not be written to.
    except (StudyError, OSError) as problem:
        print(f"fer-study: {problem}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as problem:
        package = (problem.name or "").partition(".")[0]
        if package in ("", "fer_utils"):
            raise
        extra = "serve" if package in SERVE_EXTRA else "study"
        print(
            f"fer-study: expected the package {package}, found it not installed. It comes with the extra {extra}: "
            f'`pip install ".[{extra}]"` in the project\'s folder.',
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("fer-study: interrupted", file=sys.stderr)
        return 130
    return 0


def _path(text: str) -> Path:
    """A path that was typed: from the working folder, as every path of a command line. Not every shell expands ~."""
    return Path(text).expanduser()


def _path_or_none(text: str) -> Path | None:
    """A path, or None where nothing stands: make hands on settings that nobody gave as empty words."""
    return _path(text) if text else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fer-study",
        description="A reproducible study of facial-expression recognition on FER-2013. `make study` runs all of it; "
        "these are its parts.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable, summary: str, example: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
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
        _prepare,
        "turn a source of faces into the folder that everything else reads",
        "fer-study prepare --source csv --path data/raw/fer2013.csv.gz --out data/prepared",
    )
    add.add_argument(
        "--source", help="sample (drawn faces), csv, folder or kaggle; default: what --path is, or sample without it"
    )
    add.add_argument("--path", type=_path, help="the CSV (also .gz, .zip, .tar.gz) or the folder of images")
    add.add_argument("--votes", type=_path, help="FER+ votes (fer2013new.csv)")
    add.add_argument("--out", type=_path, default=resolve("data/prepared"), help="default: data/prepared")
    add.add_argument("--resize", action="store_true", help="folder: scale images of another size")
    add.add_argument("--test-usage", help="folder: what test/ is: PublicTest, PrivateTest or split")
    add.add_argument("--count", type=int, default=3500, help="sample: number of faces; default: 3500")
    add.add_argument("--seed", type=int, default=0, help="sample: seed of the drawing; default: 0")

    add = command(
        "study",
        _study,
        "run the whole study, or what has changed of it, as `make study` does",
        "fer-study study --profile cpu --data path/to/fer2013.csv.gz",
    )
    add.add_argument("--profile", default="sample", help="sample, cpu or full; default: sample")
    add.add_argument("--data", type=_path_or_none, help="faces to study: Kaggle's CSV in any packing, or a folder")
    add.add_argument("--votes", type=_path_or_none, help="FER+ votes (fer2013new.csv)")
    add.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter, such as replicate.epochs=2"
    )

    add = command(
        "audit",
        _audit,
        "audit prepared faces: copies, leaks into the test splits, blanks, doubtful labels",
        "fer-study audit --faces data/prepared --json",
    )
    add.add_argument(
        "--faces", type=_path, default=resolve("data/prepared"), help="prepared faces; default: data/prepared"
    )
    add.add_argument("--json", action="store_true", help="as JSON, for programs")

    add = command(
        "train",
        _train,
        "train a recipe with a seed, all its folds where it has them, or go on where it was interrupted",
        "fer-study train seed_cnn --seed 1 --data data/prepared",
    )
    add.add_argument("recipe", help="a name; an unknown one lists those there are")
    add.add_argument("--seed", type=int, default=1, help="default: 1")
    add.add_argument(
        "--data", type=_path, default=resolve("data/prepared"), help="prepared faces; default: data/prepared"
    )
    add.add_argument("--runs", type=_path, default=resolve("data/runs"), help="the run store; default: data/runs")
    add.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a field of the recipe or an option of its network: epochs=3, width=0.25; may be repeated",
    )

    add = command(
        "tune",
        _tune,
        "search for better hyperparameters of a recipe, or go on where the search was interrupted",
        "fer-study tune seed_cnn --set width=0.25 --search dropout=0.1..0.5 --search learning_rate=1e-4..5e-3",
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
    add.add_argument("--oracle", default="bayesian", help="random, bayesian or hyperband; default: bayesian")
    add.add_argument("--trials", type=int, default=20, help="how many, at most; default: 20")
    add.add_argument("--seed", type=int, default=1, help="of the search and of each trial; default: 1")
    add.add_argument("--random", action="store_true", help="then search at random with as many epochs, to compare with")
    add.add_argument(
        "--retrain",
        type=int,
        default=0,
        metavar="SEEDS",
        help="then train the winner, the runner-up and the untuned recipe with so many other seeds, at least 3",
    )
    add.add_argument(
        "--data", type=_path, default=resolve("data/prepared"), help="prepared faces; default: data/prepared"
    )
    add.add_argument("--runs", type=_path, default=resolve("data/runs"), help="the run store; default: data/runs")
    add.add_argument("--out", type=_path, default=resolve("data/search"), help="of the tables; default: data/search")
    add.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change the recipe first, as in `train`"
    )
    role = add.add_mutually_exclusive_group()
    role.add_argument(
        "--chief", metavar="HOST:PORT", help="choose the trials that workers train, and listen to them here"
    )
    role.add_argument("--worker", metavar="HOST:PORT", help="train the trials that the chief there chooses")
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
        _ablate,
        "train a recipe without each of its ingredients, and with one more, and compare them on PublicTest",
        "fer-study ablate small_resnet --seeds 1 2 --set name=ablation --set epochs=12 --set width=0.5",
    )
    add.add_argument("recipe", help="a name; an unknown one lists those there are")
    add.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of each variant; default: 1 2 3")
    add.add_argument(
        "--data", type=_path, default=resolve("data/prepared"), help="prepared faces; default: data/prepared"
    )
    add.add_argument("--runs", type=_path, default=resolve("data/runs"), help="the run store; default: data/runs")
    add.add_argument("--out", type=_path, metavar="FILE", help="also write the table as CSV")
    add.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change the recipe first, as in `train`"
    )

    add = command(
        "ensemble",
        _ensemble,
        "choose an ensemble of published runs on PublicTest, greedily, and with --publish keep it and score it",
        "fer-study ensemble --size 8 --publish ensemble",
    )
    add.add_argument(
        "labels", metavar="RUN", nargs="*", help=f"which of {EVIDENCE}/; default: all, but for FER+'s track"
    )
    add.add_argument("--size", type=int, default=8, help="the most members, repeated ones counted; default: 8")
    add.add_argument(
        "--data", type=_path, default=resolve("data/prepared"), help="prepared FER-2013; default: data/prepared"
    )
    add.add_argument("--publish", metavar="NAME", help=f"keep it in {EVIDENCE}/ensembles/, and log its PrivateTest use")

    add = command(
        "teach",
        _teach,
        "keep what trained networks say of the training images, as soft labels for another network",
        "fer-study teach data/runs/resnet-seed1-* data/runs/resnet-seed2-*",
    )
    add.add_argument(
        "run_folders", metavar="RUN", type=_path, nargs="*", help="finished runs; one named twice counts twice"
    )
    add.add_argument(
        "--votes", action="store_true", help="FER+'s votes instead: a track of its own, not FER-2013's labels"
    )
    add.add_argument(
        "--data", type=_path, default=resolve("data/prepared"), help="prepared faces; default: data/prepared"
    )
    add.add_argument("--runs", type=_path, default=resolve("data/runs"), help="the run store; default: data/runs")

    add = command(
        "score",
        _score,
        "score a finished run on PrivateTest, once, and log it",
        "fer-study score data/runs/seed_cnn-seed1-0123456789ab --publish",
    )
    add.add_argument("run_folder", metavar="RUN", type=_path, help="the run's folder")
    add.add_argument(
        "--data", type=_path, default=resolve("data/prepared"), help="prepared faces; default: data/prepared"
    )
    add.add_argument("--publish", action="store_true", help=f"also keep the run's evidence in {EVIDENCE}/")

    add = command(
        "results",
        _results,
        "compute the table of real results from the evidence and FER-2013",
        "fer-study results --csv data/raw/fer2013.csv.gz",
    )
    add.add_argument("--csv", type=_path, required=True, help="Kaggle's CSV, in any packing")
    add.add_argument("--write", action="store_true", help=f"put it into README.md and {EVIDENCE}/results.csv")

    add = command(
        "networks", _networks, "list the networks: input, parameters, multiply-adds, source", "fer-study networks"
    )
    add.add_argument("--json", action="store_true", help="as JSON, for programs")

    add = command(
        "stage", _stage, "run one stage of the pipeline with its section of params.yaml", "fer-study stage explore"
    )
    add.add_argument("stage", help="prepare, explore, replicate, tune, champion, analyse_errors, serve or index")

    add = command(
        "export",
        _export,
        "export a finished run for `Recognizer` and the server: ONNX, Keras weights and a model card",
        "fer-study export data/runs/champion-seed1-0123456789ab --out my_model",
    )
    add.add_argument("run_folder", metavar="RUN", type=_path, help="the run's folder")
    add.add_argument(
        "--data", type=_path, default=resolve("data/prepared"), help="prepared faces; default: data/prepared"
    )
    add.add_argument("--out", type=_path, help="folder; default: data/models/RUN")
    add.add_argument("--int8", action="store_true", help="8-bit integers, where that is as good and faster")

    add = command(
        "predict",
        _predict,
        "recognise the expressions in a photo, a folder of photos, or a video",
        "fer-study predict photo.jpg --annotate annotated.png",
    )
    add.add_argument("paths", metavar="PHOTO|FOLDER|VIDEO", type=_path, nargs="+", help="several photos, or one video")
    form = add.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="print JSON; of a single photo one object, otherwise an object a line"
    )
    form.add_argument("--csv", action="store_true", help="print CSV, a row a face (of a video, a row a face a frame)")
    add.add_argument(
        "--annotate",
        metavar="OUT",
        type=_path,
        help="write the annotated photo or clip (.mp4, .webm); of a folder or several photos, the folder for them",
    )
    _recognition_options(add)

    add = command(
        "serve",
        _serve,
        "serve the page and the API that recognise expressions in photos",
        "fer-study serve --port 5000",
    )
    _recognition_options(add)
    add.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    add.add_argument("--port", type=int, default=5000, help="default: 5000; 0 takes a free one")
    add.add_argument(
        "--token", help="ask clients for this bearer token; FER_STUDY_TOKEN in the environment does the same, unseen"
    )
    add.add_argument(
        "--trusted-host",
        action="append",
        metavar="NAME",
        help="a name that a proxy before it is called by; may be repeated",
    )
    source = add.add_mutually_exclusive_group()
    source.add_argument("--camera", type=int, metavar="N", help="show this machine's camera N at /video_feed")
    source.add_argument("--video", type=_path, metavar="FILE", help="show a video file at /video_feed")

    command(
        "fetch-yunet",
        _fetch_yunet,
        "download the YuNet face detector once, checked, for `--detector yunet`",
        "fer-study fetch-yunet",
    )
    return parser


def _recognition_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=_path, help="folder of an exported model; default: the released one, trained on real faces"
    )
    parser.add_argument("--detector", choices=("haar", "yunet"), default="haar", help="face detector; default: haar")
    parser.add_argument("--yunet", type=_path, metavar="FILE", help="YuNet's model file; default: `fetch-yunet`'s")


def _prepare(given: argparse.Namespace) -> None:
    from fer_utils.cli.stage import prepare

    prepare(
        given.source,
        given.path,
        given.votes,
        given.out,
        resize=given.resize,
        test_usage=given.test_usage,
        count=given.count,
        seed=given.seed,
    )


def _study(given: argparse.Namespace) -> None:
    from fer_utils.cli.study import run_study

    print(f"The study is at {run_study(given.profile, given.data, given.votes, given.set)}")


def _audit(given: argparse.Namespace) -> None:
    import json

    from fer_utils.audits.summary import summarise, summary_text
    from fer_utils.data.faces import load_faces

    summary = summarise(load_faces(given.faces))
    print(json.dumps(summary, indent=2) if given.json else summary_text(summary))


def _train(given: argparse.Namespace) -> None:
    from fer_utils.data.faces import load_faces

    recipe, faces = _recipe(given), load_faces(given.data)
    from fer_utils.training.fit import fit

    for each in recipe.every_fold:
        run = fit(each, faces, given.seed, given.runs)
        print(run.history.round(4).to_string(index=False))
        print(run.folder)


def _recipe(given: argparse.Namespace):
    """The recipe named, with what `--set` changes."""
    import yaml

    from fer_utils.training.recipes import get_recipe

    changes = {}
    for change in given.set:
        name, equals, value = change.partition("=")
        if not equals:
            raise StudyError(f"--set: expected NAME=VALUE, found {change!r}.")
        changes[name] = yaml.safe_load(value)
        if isinstance(changes[name], str):
            # YAML 1.1 takes 5e-4 for a word.
            with contextlib.suppress(ValueError):
                changes[name] = float(value)
    return get_recipe(given.recipe).but(**changes)


def _tune(given: argparse.Namespace) -> None:
    from fer_utils.cli.tune import parse_space, tune
    from fer_utils.data.faces import load_faces

    if bool(given.worker) != bool(given.id):
        raise StudyError("tune: expected --worker HOST:PORT and --id N together, found one without the other.")
    if any(address and not address.rpartition(":")[2].isdigit() for address in (given.chief, given.worker)):
        raise StudyError(f"tune: expected HOST:PORT, found {given.chief or given.worker!r}.")
    faces = load_faces(given.data)
    search = {"oracle": given.oracle, "trials": given.trials, "seed": given.seed, "store": given.runs}
    if given.worker:
        from fer_utils.tuning.worker import work

        done = work(
            parse_space(given.search),
            _recipe(given),
            faces.without_private(),
            address=given.worker,
            worker=given.id,
            patience=given.patience,
            **search,
        )
        print(f"Worker {given.id}: {done} trials.")
        return
    tune(
        parse_space(given.search),
        _recipe(given),
        faces,
        given.out,
        random=given.random,
        seeds=[given.seed + 1 + k for k in range(given.retrain)],
        chief=given.chief,
        patience=given.patience,
        **search,
    )


def _ablate(given: argparse.Namespace) -> None:
    from fer_utils.data.faces import load_faces
    from fer_utils.reports import metrics
    from fer_utils.training.ablation import ablate

    if given.out:
        metrics.expect_place_for_table(given.out, "variant")  # before hours of training
    table = ablate(_recipe(given), load_faces(given.data).without_private(), given.seeds, given.runs)
    print(table.round(4).to_string(index=False))
    if given.out:
        metrics.write_table(given.out, table)


def _ensemble(given: argparse.Namespace) -> None:
    from fer_utils.data.faces import load_faces
    from fer_utils.emotions import PUBLIC
    from fer_utils.results.ensembles import member_logits, members, select
    from fer_utils.results.evidence import publish_ensemble, read_evidence
    from fer_utils.training.runs import learned_from_votes

    faces = load_faces(given.data)
    abouts = read_evidence(resolve(EVIDENCE), faces)
    known = [folder.name for folder in abouts]
    if unknown := sorted(set(given.labels) - set(known)):
        raise StudyError(f"ensemble: expected of {', '.join(known)}, found {', '.join(unknown)}.")
    chosen = {
        folder: about
        for folder, about in abouts.items()
        if (folder.name in given.labels or not given.labels) and not learned_from_votes(about)
    }
    public = faces.of(PUBLIC)
    logits = {folder.name: each for folder, each in member_logits(chosen, public).items()}
    path = select(logits, public.emotion, given.size)
    print(path.round(4).to_string(index=False))
    print("Members:", ", ".join(f"{label} x{times}" for label, times in members(path).items()))
    if given.publish:
        print(f"Evidence: {publish_ensemble(given.publish, path, chosen, faces, resolve(EVIDENCE))}")


def _teach(given: argparse.Namespace) -> None:
    from collections import Counter

    from fer_utils.audits.labels import vote_targets
    from fer_utils.data.faces import load_faces
    from fer_utils.emotions import TRAINING
    from fer_utils.training.distillation import teach_by
    from fer_utils.training.runs import VOTES
    from fer_utils.training.soft_labels import keep

    if given.votes == bool(given.run_folders):
        raise StudyError("teach: expected runs, or --votes, found both or neither.")
    training = load_faces(given.data).of(TRAINING)
    if given.votes:
        name = keep(vote_targets(training), training, given.runs, [VOTES])
    else:
        name = teach_by(Counter(given.run_folders), training, given.runs)
    print(f"Learn from them with `fer-study train RECIPE --set teacher={name}`.")


def _score(given: argparse.Namespace) -> None:
    from fer_utils.data.faces import load_faces
    from fer_utils.emotions import PRIVATE, PUBLIC
    from fer_utils.evaluation import accuracy, accuracy_interval
    from fer_utils.results.evidence import publish_evidence
    from fer_utils.results.scoring import score
    from fer_utils.training.runs import Run

    faces = load_faces(given.data)
    run = score(Run(given.run_folder), faces)
    for usage in (PUBLIC, PRIVATE):
        part = faces.of(usage)
        for averaged in run.recipe.kinds:
            share = accuracy(run.logits(part, averaged=averaged), part.emotion)
            low, high = accuracy_interval(share, len(part))
            how = f"{usage}, averaged" if averaged else usage
            print(f"{how}: {share:.2%} of {len(part):,} images (95 % interval {low:.2%} to {high:.2%})")
    if given.publish:
        print(f"Evidence: {publish_evidence(run, resolve(EVIDENCE))}")


def _results(given: argparse.Namespace) -> None:
    from fer_utils.data.sources import read
    from fer_utils.results.evidence import compute_results, results_markdown, write_results

    results = compute_results(resolve(EVIDENCE), read("csv", given.csv, progress=True))
    print(results_markdown(results))
    if given.write:
        write_results(results, resolve(EVIDENCE), resolve("README.md"))


def _networks(given: argparse.Namespace) -> None:
    import json

    from fer_utils.networks.costs import overview, overview_text

    found = overview()
    print(json.dumps(found, indent=2, ensure_ascii=False) if given.json else overview_text(found))


def _stage(given: argparse.Namespace) -> None:
    from fer_utils.cli.stage import run_stage

    run_stage(given.stage)


def _export(given: argparse.Namespace) -> None:
    from fer_utils.data.faces import load_faces
    from fer_utils.release.export import export_run
    from fer_utils.training.runs import Run

    # Not the pipeline's data/export, which the next `make study` replaces.
    out = given.out or resolve("data/models") / given.run_folder.resolve().name
    card = export_run(Run(given.run_folder), load_faces(given.data), out, int8=given.int8)
    onnx = card["onnx"]
    print(
        f"ONNX Runtime and Keras: the same top answers, probabilities within {onnx['largest_difference']:.1g} "
        f"over {onnx['images_compared']:,} images"
    )
    if given.int8:
        print(
            f"8-bit integers: {'kept' if onnx['int8'] else 'not kept'}; PublicTest accuracy "
            f"{-100 * onnx['int8_accuracy_loss']:+.2f} points, one face {onnx['int8_speedup']:.2f} times as fast"
        )
    print(f"PublicTest: {card['public_accuracy']:.2%}. Exported to {out}")


def _predict(given: argparse.Namespace) -> None:
    from fer_utils.cli.predict import predict

    predict(_recognizer(given), *given.paths, form=_form(given), annotated=given.annotate)


def _form(given: argparse.Namespace) -> str:
    return "json" if given.json else "csv" if given.csv else "text"


def _recognizer(given: argparse.Namespace):
    from fer_utils.recognition.detectors import make_detector
    from fer_utils.recognition.recognizer import Recognizer

    return Recognizer(given.model, make_detector(given.detector, given.yunet))


def _fetch_yunet(_given: argparse.Namespace) -> None:
    from fer_utils.recognition.detectors import download_yunet

    print(download_yunet())


def _serve(given: argparse.Namespace) -> None:
    from fer_utils.serving import LOCAL_HOSTS, serve

    # None would take any name; not said, `serve` knows what is right for the address.
    trusted = {"trusted_hosts": (*LOCAL_HOSTS, *given.trusted_host)} if given.trusted_host else {}
    serve(
        _recognizer(given),
        host=given.host,
        port=given.port,
        token=given.token or os.environ.get("FER_STUDY_TOKEN"),
        camera=given.camera,
        video=given.video,
        **trusted,
    )


if __name__ == "__main__":
    sys.exit(main())
