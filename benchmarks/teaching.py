"""What a student gains from a teacher: from its words on whole images, and on the student's views.

    python benchmarks/teaching.py --data data/prepared [--seeds 1 2] [--teacher FOLDER]

A small network is trained in three ways with the same epochs and augmentation:

- untaught: from the labels alone,
- taught on whole images: four fifths soft labels, which the teacher predicts for each image and its
  horizontal flip,
- taught on views: four fifths soft labels, which the teacher predicts for the very augmented
  versions of the images that the student is trained on, one version for each epoch.

The accuracies are on PublicTest, and so are the differences, with 95 % paired bootstrap intervals
over images and seeds. Finished trainings in --runs are loaded, and interrupted ones continue.
"""

import argparse
from pathlib import Path

import numpy as np

from fer_utils.data.faces import Faces, load_faces
from fer_utils.emotions import PUBLIC, TRAINING
from fer_utils.evaluation import paired_bootstrap
from fer_utils.paths import RELEASED
from fer_utils.training.distillation import distil_runs, distil_views
from fer_utils.training.fit import fit, machine
from fer_utils.training.recipe import Recipe
from fer_utils.training.recipes import get_recipe
from fer_utils.training.runs import Run


def student(epochs: int, precision: str) -> Recipe:
    """`small_student` at half its width, with the augmentation that few epochs can use."""
    return get_recipe("small_student").but(
        widths=(16, 32, 64, 128),
        blocks=(1, 2, 1, 1),
        epochs=epochs,
        rotation=10,
        zoom=0.1,
        translation=2,
        erase=0.1,
        dropout=0.1,
        alternating_flip=True,
        precision=precision,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="prepared faces")
    parser.add_argument("--runs", type=Path, default=Path("data/runs"), help="store of runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--epochs", type=int, default=15, help="default: 15")
    parser.add_argument(
        "--teacher", type=Path, default=RELEASED, help="run or model; default: the released one"
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="for processors with AVX-512 BF16 or AMX"
    )
    given = parser.parse_args()

    faces = load_faces(given.data).without_private()
    training, public = faces.of(TRAINING), faces.of(PUBLIC)
    base = student(given.epochs, "bfloat16" if given.bfloat16 else "float32")
    views = base.but(teacher_views=given.epochs)
    on_views = distil_views({given.teacher: 1}, views, training, given.runs)
    on_whole = distil_runs({given.teacher: 1}, training, given.runs)
    recipes = {
        "untaught": base.but(name="untaught"),
        "taught on whole images": base.but(name="taught_whole", teacher=on_whole),
        "taught on views": views.but(name="taught_views", teacher=on_views),
    }
    runs = {
        name: [fit(recipe, faces, seed, given.runs) for seed in given.seeds]
        for name, recipe in recipes.items()
    }
    print(f"{machine()}; {given.epochs} epochs, seeds {', '.join(map(str, given.seeds))}")
    for tta in (False, True):
        print(f"\n{'with' if tta else 'without'} test-time augmentation")
        report(runs, public, tta=tta)


def report(runs: dict[str, list[Run]], public: Faces, *, tta: bool) -> None:
    """Print the accuracies of all ways, and their differences."""
    correct = {}
    for name, of_seeds in runs.items():
        logits = [run.logits(public, tta=tta) for run in of_seeds]
        correct[name] = np.array([each.argmax(axis=1) == public.emotion for each in logits])
        shares = ", ".join(f"{share:.2%}" for share in correct[name].mean(axis=1))
        print(f"{name:24} {correct[name].mean():.2%} of PublicTest ({shares})")
    for name, other in (
        ("taught on views", "untaught"),
        ("taught on views", "taught on whole images"),
        ("taught on whole images", "untaught"),
    ):
        low, high = paired_bootstrap(correct[name], correct[other])
        gain = correct[name].mean() - correct[other].mean()
        print(
            f"{name} − {other}: {100 * gain:+.1f} points "
            f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
        )


if __name__ == "__main__":
    main()
