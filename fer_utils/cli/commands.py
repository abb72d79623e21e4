"""A function for each command. It imports its libraries itself, so that `--help` needs none."""

import argparse
from typing import Any

from fer_utils.errors import StudyError
from fer_utils.paths import EVIDENCE, resolve


def prepare(given: argparse.Namespace) -> None:
    """Read a source of faces and save them."""
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


def study(given: argparse.Namespace) -> None:
    """Run the stages of the study that have changed."""
    from fer_utils.cli.study import run_study

    _fetch_yunet_once()  # for the server in the last notebook
    print(f"The study is at {run_study(given.profile, given.data, given.votes, given.set)}")


def audit(given: argparse.Namespace) -> None:
    """Print the audit of prepared faces."""
    import json

    from fer_utils.audits.summary import summarise, summary_text
    from fer_utils.data.faces import load_faces

    summary = summarise(load_faces(given.faces))
    print(json.dumps(summary, indent=2) if given.json else summary_text(summary))


def train(given: argparse.Namespace) -> None:
    """Train a recipe, or all its folds if it has folds."""
    from fer_utils.data.faces import load_faces

    recipe, faces = _recipe(given), load_faces(given.data)
    from fer_utils.training.fit import fit

    for each in recipe.every_fold:
        run = fit(each, faces, given.seed, given.runs)
        print(run.history.round(4).to_string(index=False))
        print(run.folder)


def _recipe(given: argparse.Namespace):
    """The named recipe with the changes of `--set`."""
    from fer_utils.cli.values import parse_change
    from fer_utils.training.recipes import get_recipe

    changes = dict(parse_change(change, "--set") for change in given.set)
    return get_recipe(given.recipe).but(**changes)


def tune(given: argparse.Namespace) -> None:
    """Search for hyperparameters, alone or as a chief or worker."""
    from fer_utils.cli.tune import parse_space, tune
    from fer_utils.data.faces import load_faces

    if bool(given.worker) != bool(given.id):
        raise StudyError(
            "tune: expected --worker HOST:PORT and --id N together, found one without the other."
        )
    if any(
        address and not address.rpartition(":")[2].isdigit()
        for address in (given.chief, given.worker)
    ):
        raise StudyError(f"tune: expected HOST:PORT, found {given.chief or given.worker!r}.")
    faces = load_faces(given.data)
    search = {
        "oracle": given.oracle,
        "trials": given.trials,
        "seed": given.seed,
        "store": given.runs,
    }
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


def ablate(given: argparse.Namespace) -> None:
    """Train a recipe without each of its components and compare."""
    from fer_utils.data.faces import load_faces
    from fer_utils.notebooks import metrics
    from fer_utils.training.ablation import ablate

    if given.out:
        metrics.expect_place_for_table(given.out, "variant")  # before hours of training
    table = ablate(
        _recipe(given), load_faces(given.data).without_private(), given.seeds, given.runs
    )
    print(table.round(4).to_string(index=False))
    if given.out:
        metrics.write_table(given.out, table)


def ensemble(given: argparse.Namespace) -> None:
    """Select an ensemble of committed runs on PublicTest."""
    from fer_utils.data.faces import load_faces
    from fer_utils.emotions import PUBLIC
    from fer_utils.results.ensembles import members, select_with_tta
    from fer_utils.results.evidence import publish_ensemble, read_evidence

    faces = load_faces(given.data)
    runs = read_evidence(resolve(EVIDENCE), faces)
    labels = [folder.name for folder in runs]
    if unknown := sorted(set(given.labels) - set(labels)):
        raise StudyError(
            f"ensemble: expected runs of {', '.join(labels)}, found {', '.join(unknown)}."
        )
    chosen = {}
    for folder, info in runs.items():
        wanted = folder.name in given.labels or not given.labels
        if wanted and not info.learned_from_votes:
            chosen[folder] = info
    path, tta = select_with_tta(chosen, faces.of(PUBLIC), given.size)
    print(path.round(4).to_string(index=False))
    print("Members:", ", ".join(f"{label} x{times}" for label, times in members(path).items()))
    print("Test-time augmentation:", "that of their recipes" if tta else "none")
    if given.publish:
        file = publish_ensemble(given.publish, path, chosen, faces, resolve(EVIDENCE), tta=tta)
        print(f"Evidence: {file}")


def teach(given: argparse.Namespace) -> None:
    """Store soft labels for distillation."""
    from collections import Counter

    from fer_utils.audits.labels import vote_targets
    from fer_utils.data.faces import load_faces
    from fer_utils.emotions import TRAINING
    from fer_utils.training.distillation import distil_runs, distil_views
    from fer_utils.training.runs import VOTES
    from fer_utils.training.soft_labels import write_soft_labels

    if given.votes == bool(given.run_folders):
        raise StudyError("teach: expected runs or --votes, found both or neither.")
    if (given.set and not given.recipe) or (given.votes and given.recipe):
        raise StudyError(
            "teach: expected RUNS --recipe NAME, and --set to change this recipe, found "
            f"{'--votes with --recipe' if given.votes else '--set alone'}."
        )
    recipe = _recipe(given) if given.recipe else None
    training = load_faces(given.data).of(TRAINING)
    if given.votes:
        name = write_soft_labels(vote_targets(training), training, given.runs, [VOTES])
    elif recipe is None:
        name = distil_runs(Counter(given.run_folders), training, given.runs)
    else:
        name = distil_views(Counter(given.run_folders), recipe, training, given.runs)
    words = ["fer-study train", given.recipe or "RECIPE"]
    words += [f"--set {change}" for change in (*given.set, f"teacher={name}")]
    print(f"Distil them with `{' '.join(words)}`.")


def score(given: argparse.Namespace) -> None:
    """Score a finished run on PrivateTest, once."""
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
        for tta in run.recipe.kinds:
            share = accuracy(run.logits(part, tta=tta), part.emotion)
            low, high = accuracy_interval(share, len(part))
            how = f"{usage}, TTA" if tta else usage
            print(
                f"{how}: {share:.2%} of {len(part):,} images (95 % interval {low:.2%} to "
                f"{high:.2%})"
            )
    if given.publish:
        print(f"Evidence: {publish_evidence(run, resolve(EVIDENCE))}")


def results(given: argparse.Namespace) -> None:
    """Compute the tables of real results, and with --write the pages that show them."""
    import json

    from fer_utils.data.sources import read
    from fer_utils.paths import CARD, RELEASED, root
    from fer_utils.reports.headline import write_figures
    from fer_utils.results.aggregates import released_confusion
    from fer_utils.results.differences import differences
    from fer_utils.results.documents import results_markdown, write_results
    from fer_utils.results.ensembles import read_ensembles
    from fer_utils.results.evidence import compute_results, read_evidence

    evidence, faces = resolve(EVIDENCE), read("csv", given.csv, progress=True)
    table = compute_results(evidence, faces)
    print(results_markdown(table))
    if given.write:
        runs, ensembles = read_evidence(evidence, faces), read_ensembles(evidence)
        card = json.loads((RELEASED / CARD).read_text(encoding="utf-8"))
        confusion = released_confusion(runs, faces, card["recipe"]["name"], card["seed"])
        write_results(table, differences(runs, ensembles, faces), confusion, root())
        write_figures(root())


def publish(_given: argparse.Namespace) -> None:
    """Publish the report that `make report` has rendered."""
    from datetime import UTC, datetime

    from fer_utils.paths import root
    from fer_utils.reports.publish import REPORT, make_provenance, publish_report
    from fer_utils.training.fit import machine

    date = datetime.now(UTC).date().isoformat()
    provenance = make_provenance(root(), machine=machine(), date=date)
    print(publish_report(root(), root() / REPORT, provenance))


def networks(given: argparse.Namespace) -> None:
    """List the networks and their costs."""
    import json

    from fer_utils.networks.costs import overview, overview_text

    found = overview()
    print(json.dumps(found, indent=2, ensure_ascii=False) if given.json else overview_text(found))


def stage(given: argparse.Namespace) -> None:
    """Run one stage of the pipeline."""
    from fer_utils.cli.stage import run_stage

    run_stage(given.stage)


def notebook(given: argparse.Namespace) -> None:
    """Run one notebook by hand."""
    from fer_utils.cli.notebook import run_by_hand

    print(f"The report is {run_by_hand(given.notebook, given.set, given.out)}")


def export(given: argparse.Namespace) -> None:
    """Export a finished run, or the page for a static host."""
    of_runs, of_pages = ("out", "int8"), ("model", "yunet", "onnxruntime_web")
    if bool(given.web) == bool(given.run_folder):
        found = "both" if given.web else "neither"
        raise StudyError(f"export: expected RUN or --web FOLDER, found {found}.")
    kind, others = ("--web", of_runs) if given.web else ("RUN", of_pages)
    if extra := [each for each in others if getattr(given, each)]:
        names = " and ".join(f"--{each.replace('_', '-')}" for each in extra)
        raise StudyError(f"export: expected {kind} without {names}, found both. Leave one out.")
    if given.web:
        _export_page(given)
        return
    from fer_utils.data.faces import load_faces
    from fer_utils.release.export import export_run
    from fer_utils.training.runs import Run

    # Not the pipeline's data/export, which the next `make study` replaces.
    out = given.out or resolve("data/models") / given.run_folder.resolve().name
    card = export_run(Run(given.run_folder), load_faces(given.data), out, int8=given.int8)
    onnx = card["onnx"]
    print(
        f"ONNX Runtime and Keras: the same predictions for {onnx['images_compared']:,} images, "
        f"probabilities within {onnx['largest_difference']:.1g}"
    )
    if given.int8:
        print(
            f"8-bit integers: {'used' if onnx['int8'] else 'not used'}; PublicTest accuracy "
            f"{-100 * onnx['int8_accuracy_loss']:+.2f} points, one face "
            f"{onnx['int8_speedup']:.2f} times as fast"
        )
    print(f"PublicTest: {card['public_accuracy']:.2%}. Exported to {out}")


def _export_page(given: argparse.Namespace) -> None:
    from fer_utils.recognition.detectors import make_detector
    from fer_utils.recognition.recognizer import Recognizer
    from fer_utils.serving.static_page import export_page

    if not given.yunet:
        _fetch_yunet_once()
    recognizer = Recognizer(given.model, make_detector("auto", given.yunet))
    size = export_page(recognizer, given.web, given.onnxruntime_web)
    print(
        f"{given.web}: the page with {recognizer.card['name']}, {size / 1e6:.1f} MB. Try it with "
        f"`python -m http.server --directory {given.web} --bind 127.0.0.1`."
    )


def predict(given: argparse.Namespace) -> None:
    """Classify the faces in photos, folders or a video."""
    from fer_utils.cli.predict import predict

    predict(_recognizer(given), *given.paths, form=_form(given), annotated=given.annotate)


def _form(given: argparse.Namespace) -> str:
    return "json" if given.json else "csv" if given.csv else "text"


def _recognizer(given: argparse.Namespace):
    from fer_utils.recognition.detectors import make_detector
    from fer_utils.recognition.recognizer import Recognizer

    if given.detector == "auto" and not given.yunet:
        _fetch_yunet_once()
    return Recognizer(given.model, make_detector(given.detector, given.yunet))


def _fetch_yunet_once() -> None:
    import sys

    from fer_utils.recognition.yunet_file import fetch_yunet_once

    # Standard output is for the answers.
    fetch_yunet_once(lambda line: print(line, file=sys.stderr, flush=True))


def fetch_yunet(_given: argparse.Namespace) -> None:
    """Download YuNet's model file."""
    from fer_utils.recognition.yunet_file import download_yunet

    print(download_yunet())


def serve(given: argparse.Namespace) -> None:
    """Serve the page and the API."""
    from fer_utils.serving import LOCAL_HOSTS, serve

    options: dict[str, Any] = {
        "token": given.token,
        "proxies": given.proxies,
        "cors_origins": given.cors_origin,
        "access_log": given.access_log,
        "at_once": given.at_once,
        "waiting": given.waiting,
        "max_upload_bytes": given.max_upload_mb * 2**20,
        "max_photos": given.max_photos,
        "max_memory": given.max_memory_mb * 10**6,
        "viewers": given.viewers,
        "onnxruntime_web": given.onnxruntime_web,
        "camera": given.camera,
        "video": given.video,
    }
    # None would accept every host name. Without the argument, `serve` derives them from the host.
    if given.trusted_host:
        options["trusted_hosts"] = (*LOCAL_HOSTS, *given.trusted_host)
    if given.frame_ancestor:
        # The policy has quotes about these two, which a shell would take away.
        options["frame_ancestors"] = [
            f"'{each}'" if each in ("none", "self") else each for each in given.frame_ancestor
        ]
    serve(_recognizer(given), host=given.host, port=given.port, **options)
