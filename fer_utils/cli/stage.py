"""The pipeline's stages: each command of dvc.yaml, with its section of params.yaml."""

from pathlib import Path

import yaml

from fer_utils.errors import StudyError
from fer_utils.notebooks.parameters import NOTEBOOKS
from fer_utils.paths import resolve, root
from fer_utils.warm import continue_warm, wake

PAGES = {f"page@{stage}": name for stage, name in NOTEBOOKS.items()}
"""The stages that render a notebook's page, as DVC names them, and the notebooks."""

STAGES = (
    "prepare",
    *(name for stage in NOTEBOOKS for name in (stage, f"page@{stage}")),
    "report",
)
"""In the order in which DVC runs them."""


def run_stage(stage: str) -> None:
    """Run one stage of the pipeline, as `dvc repro` does.

    Raises:
        StudyError: the stage is unknown, or params.yaml has no section for it.
    """
    if stage not in STAGES:
        raise StudyError(f"stage: expected one of {', '.join(STAGES)}, found {stage!r}.")
    if stage == "prepare":
        wake()
        _prepare(**section("prepare"))
        return
    # The server has imported what runs notebooks and renders pages.
    continue_warm("fer_utils.cli", ["stage", stage])
    if stage in PAGES:
        from fer_utils.reports.html import write_page

        write_page(root(), PAGES[stage])
    elif stage == "report":
        from fer_utils.reports.index import write_index
        from fer_utils.reports.trials import write_trials_page

        write_trials_page(root())
        write_index(resolve("reports/index.html"), root=root())
    else:
        from fer_utils.notebooks.runner import run_notebook

        name = f"{NOTEBOOKS[stage]}.ipynb"
        run_notebook(
            resolve(f"notebooks/{name}"),
            resolve(f"reports/notebooks/{name}"),
            section(stage),
            cwd=root(),
        )


def section(stage: str) -> dict:
    """A stage's section of params.yaml. Raises StudyError if there is none."""
    path = resolve("params.yaml")
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        return params[stage]
    except OSError:
        raise StudyError(
            f"{path}: expected the pipeline's parameters, found no file. Write it with `make "
            "study`."
        ) from None
    except (KeyError, TypeError):
        raise StudyError(
            f"{path}: expected a section {stage!r}, found none. Write it again with `make study`."
        ) from None


def _prepare(source: str, path: str, votes: str | None, **options) -> None:
    from fer_utils.data.sources import find_source

    # DVC requires the path to exist for every source, because it is a dependency of the stage.
    # Drawn and downloaded faces do not read it.
    prepare(
        source,
        resolve(path) if find_source(source).path else None,
        resolve(votes) if votes else None,
        resolve("data/prepared"),
        **options,
    )


def prepare(
    source: str | None, path: Path | None, votes: Path | None, out: Path, **options
) -> None:
    """Read a source, save its faces to the folder `out`, and print their counts and notices."""
    from fer_utils.data.faces import PREPARED
    from fer_utils.data.sources import read

    PREPARED.expect_place(out)  # before minutes of reading

    faces = read(source, path, votes, progress=True, **options)
    faces.save(out)
    print(faces.counts().to_string())
    for notice in faces.notices:
        print(f"Note: {notice}")
    print(f"{len(faces):,} faces from source {faces.source!r} are in {out}")
