"""The pipeline's stages: what each command in dvc.yaml does, with its section of params.yaml."""

from pathlib import Path

import yaml

from fer_utils.errors import StudyError
from fer_utils.paths import resolve, root
from fer_utils.reports.notebooks import NOTEBOOKS, run_notebook

STAGES = ("prepare", *NOTEBOOKS, "index")


def run_stage(stage: str) -> None:
    """Run one stage of the pipeline, as `dvc repro` does.

    Raises:
        StudyError: the stage is unknown, or params.yaml has no section for it.
    """
    if stage not in STAGES:
        raise StudyError(f"stage: expected one of {', '.join(STAGES)}, found {stage!r}.")
    if stage == "index":
        from fer_utils.reports.index import write_index

        write_index(resolve("reports/index.html"), root=root())
    elif stage == "prepare":
        _prepare(**section("prepare"))
    else:
        name = NOTEBOOKS[stage]
        run_notebook(
            resolve(f"notebooks/{name}.ipynb"),
            resolve(f"reports/notebooks/{name}.ipynb"),
            resolve(f"reports/html/{name}.html"),
            section(stage),
            cwd=root(),
        )


def section(stage: str) -> dict:
    """A stage's section of params.yaml. Raises StudyError where there is none."""
    path = resolve("params.yaml")
    try:
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        return params[stage]
    except OSError:
        raise StudyError(
            f"{path}: expected the pipeline's parameters, found no file. `make study` composes it."
        ) from None
    except (KeyError, TypeError):
        raise StudyError(
            f"{path}: expected a section {stage!r}, found none. `make study` composes it anew."
        ) from None


def _prepare(source: str, path: str, votes: str | None, **options) -> None:
    # The path is a dependency of the stage, which DVC wants to exist whatever the source: drawn and downloaded
    # faces leave it unread.
    prepare(
        source,
        resolve(path) if source in ("csv", "folder") else None,
        resolve(votes) if votes else None,
        resolve("data/prepared"),
        **options,
    )


def prepare(
    source: str | None, path: Path | None, votes: Path | None, out: Path, **options
) -> None:
    """Read a source, save its faces to the folder `out`, and print their counts and what is odd about them."""
    from fer_utils.data.faces import PREPARED
    from fer_utils.data.sources import read

    PREPARED.expect_place(out)  # before minutes of reading

    faces = read(source, path, votes, progress=True, **options)
    faces.save(out)
    print(faces.counts().to_string())
    for notice in faces.notices:
        print(f"Note: {notice}")
    print(f"{len(faces):,} faces from source {faces.source!r} are in {out}")
