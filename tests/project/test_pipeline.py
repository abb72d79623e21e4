"""dvc.yaml, params.yaml, conf/ and the notebooks agree. The notebooks follow the study's rules."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml
from stage_imports import stage_packages

from fer_utils.cli import stage as stages
from fer_utils.notebooks.parameters import NOTEBOOKS, declared_parameters
from fer_utils.training.recipes import RECIPES

PROJECT = Path(__file__).resolve().parents[2]
STAGES = list(stages.STAGES)
PROFILES = ["sample", "cpu", "full", "published"]
MARK = "# NBVAL_CHECK_OUTPUT"

# Parameters that name an output of the stage. Any other path is a dependency, or the store of runs.
OUTPUTS = {
    "published_folder",
    "export_folder",
    "findings_file",
    "metrics_file",
    "history_file",
    "ledger_file",
    "confusion_file",
    "figures_folder",
    "tables_folder",
}
STORE = {"runs_folder": "data/runs"}


@pytest.fixture(scope="module")
def pipeline() -> dict:
    """dvc.yaml, with the stages of the pages written out as DVC does."""
    described = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))
    page = described["stages"].pop("page")
    for key, item in page["foreach"].items():
        text = json.dumps(page["do"]).replace("${key}", key).replace("${item}", item)
        described["stages"][f"page@{key}"] = json.loads(text)
    return described


def read(stage: str) -> nbformat.NotebookNode:
    return nbformat.read(PROJECT / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb", as_version=4)


def code_cells(stage: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(stage).cells if cell.cell_type == "code"]


def parameters(stage: str) -> dict:
    """The parameters' names and default values."""
    declared = declared_parameters(read(stage), stage)
    return {parameter.name: ast.literal_eval(parameter.value) for parameter in declared}


def outputs(stage: dict) -> set[str]:
    """All outputs of a stage. An entry with settings is a mapping with one key."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def compose(profile: str, out: Path) -> str:
    """params.yaml as `dvc exp run -S profile=PROFILE` writes it, composed by DVC."""
    from dvc.utils.hydra import compose_and_dump

    conf = str(PROJECT / "conf")
    compose_and_dump(out, conf, None, "config", str(PROJECT), [f"profile={profile}"])
    return out.read_text(encoding="utf-8")


# The pipeline


def test_stages_are_in_reading_order(pipeline):
    """A page follows its notebook at once, because DVC runs the stages of dvc.yaml in order."""
    written = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert list(written) == ["prepare", "page", *NOTEBOOKS, "report"]
    assert list(written["page"]["foreach"].items()) == list(NOTEBOOKS.items())
    assert sorted(pipeline["stages"]) == sorted(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_packages_that_a_stage_imports(pipeline, stage):
    named = [dep for dep in pipeline["stages"][stage]["deps"] if dep.startswith("fer_utils/")]
    assert named == stage_packages(stage, PROJECT), f"dvc.yaml, stage {stage}"


@pytest.mark.parametrize("stage", STAGES)
def test_stage_runs_its_command_with_its_parameters(pipeline, stage):
    assert pipeline["stages"][stage]["cmd"] == f"fer-study stage {stage}"
    params = {"report": ["profile", "prepare"]} | {f"page@{name}": [] for name in NOTEBOOKS}
    assert pipeline["stages"][stage].get("params", []) == params.get(stage, [stage])


@pytest.mark.parametrize(("stage", "name"), NOTEBOOKS.items())
def test_notebook_stage_reads_its_notebook_and_writes_it_executed(pipeline, stage, name):
    described = pipeline["stages"][stage]
    assert described["deps"][0] == f"notebooks/{name}.ipynb"
    assert f"reports/notebooks/{name}.ipynb" in outputs(described)
    page = pipeline["stages"][f"page@{stage}"]
    assert page["deps"][0] == f"reports/notebooks/{name}.ipynb"
    assert outputs(page) == {f"reports/html/{name}.html"}


@pytest.mark.parametrize(("stage", "name"), NOTEBOOKS.items())
def test_path_parameters_are_dependencies_or_outputs(pipeline, stage, name):
    described = pipeline["stages"][stage]
    deps, outs = set(described["deps"]), outputs(described)
    paths = {
        key: value for key, value in parameters(stage).items() if key.endswith(("_file", "_folder"))
    }

    written = {value for key, value in paths.items() if key in OUTPUTS}
    assert written == outs - {f"reports/notebooks/{name}.ipynb"}
    assert all(paths[key] == STORE[key] for key in paths.keys() & STORE.keys())
    read = {key: value for key, value in paths.items() if key not in OUTPUTS | STORE.keys()}
    assert read, "the stage reads nothing"
    undeclared = {
        key: value
        for key, value in read.items()
        if not deps & {value, *map(str, Path(value).parents)}
    }
    assert undeclared == {}, "add it to the stage's deps, or to OUTPUTS above"


@pytest.mark.parametrize("stage", NOTEBOOKS)
def test_paths_in_the_code_are_dependencies(pipeline, stage):
    """Literals, such as resolve("reports/evidence"), count too."""
    deps = pipeline["stages"][stage]["deps"]
    paths = []
    for cell in code_cells(stage):
        if "parameters" in cell.metadata.get("tags", ()):
            continue
        for node in ast.walk(ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.M))):
            text = node.value if isinstance(node, ast.Constant) else None
            pattern = r"(data|reports|notebooks|conf)(/[\w.-]+)+"
            if isinstance(text, str) and re.fullmatch(pattern, text):
                paths.append(text)
    undeclared = [
        path for path in paths if not any(dep == path or dep.startswith(f"{path}/") for dep in deps)
    ]
    assert undeclared == []


def test_dependencies_are_outputs_of_earlier_stages_or_committed(pipeline):
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, check=True, capture_output=True, text=True
    ).stdout
    known = set(tracked.splitlines())
    known |= {str(folder) for path in known for folder in Path(path).parents}
    for name, stage in pipeline["stages"].items():
        unknown = [dep for dep in stage["deps"] if dep != "${prepare.path}" and dep not in known]
        assert unknown == [], f"dvc.yaml, stage {name}"
        known |= outputs(stage)


def test_plots_read_the_outputs_of_stages(pipeline):
    written = set().union(*(outputs(stage) for stage in pipeline["stages"].values()))
    entries = [entry for plot in pipeline["plots"] for entry in plot.values()]
    plotted = {path for entry in entries for path in entry["y"]}
    assert plotted <= written
    tables = {path for path in written if path.startswith("reports/plots/")}
    assert plotted == tables and tables


# Parameters and profiles


def test_params_as_committed_are_the_sample_profile(tmp_path):
    committed = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    assert committed == compose("sample", tmp_path / "params.yaml")


def test_profiles_are_the_ones_named_here():
    files = (PROJECT / "conf" / "profile").iterdir()
    assert sorted(path.stem for path in files) == sorted(PROFILES)


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_sets_only_what_the_notebooks_declare(tmp_path, profile):
    composed = yaml.safe_load(compose(profile, tmp_path / "params.yaml"))
    assert composed["profile"] == profile
    assert set(composed) == {"profile", "prepare", *NOTEBOOKS}
    for stage in NOTEBOOKS:
        declared = parameters(stage)
        assert sorted(set(composed[stage]) - set(declared)) == [], f"unknown to {NOTEBOOKS[stage]}"
        for name, value in composed[stage].items():
            whole = isinstance(declared[name], float) and isinstance(value, int)
            assert isinstance(value, type(declared[name])) or whole, (
                f"{stage}.{name} of profile {profile}"
            )


def test_profiles_differ(tmp_path):
    sample, cpu, full, published = (
        yaml.safe_load(compose(profile, tmp_path / "p.yaml")) for profile in PROFILES
    )
    assert sample["prepare"]["source"] == "sample"
    for profile in (cpu, full):
        assert profile["prepare"]["source"] == "csv"
        replicate = profile["replicate"]
        assert replicate["widths"] == [], "the published networks"
        own = ("epochs", "batch_size", "adam_learning_rate", "start")
        assert [replicate[name] for name in own] == [0, 0, 0, 1.0], "each recipe's own values"
        assert set(replicate["recipe_names"]) <= set(RECIPES)
    assert len(full["replicate"]["seeds"]) >= 3
    assert {"tang_l2svm_full", "tang_softmax_full"} < set(full["replicate"]["recipe_names"])
    assert full["tune"]["trials"] > cpu["tune"]["trials"]
    stages = ("replicate", "tune", "final_model")
    assert all(published[stage]["use_evidence"] for stage in stages), "nothing is trained"
    assert not any(profile[s]["use_evidence"] for profile in (sample, cpu, full) for s in stages)
    shown = [published[stage]["show_faces"] for stage in ("explore", "analyse_errors")]
    assert shown == [False, False], "its pages are published"


def test_the_sample_profile_has_the_defaults_of_the_notebooks(tmp_path):
    """By hand, a notebook does what the default pipeline does, and also shows the server's page."""
    composed = yaml.safe_load(compose("sample", tmp_path / "params.yaml"))
    for stage in NOTEBOOKS:
        declared = parameters(stage)
        differing = {name for name, value in composed[stage].items() if declared[name] != value}
        assert differing == ({"show_page"} if stage == "serve" else set()), stage


# Git and DVC


def git_ignores(path: str) -> bool:
    # A folder that may not exist needs its trailing slash.
    done = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=PROJECT)
    assert done.returncode in (0, 1), path
    return done.returncode == 0


def test_git_ignores_all_outputs_of_a_run_except_the_lock(pipeline):
    written = set().union(*(outputs(stage) for stage in pipeline["stages"].values()))
    generated = {*written, "data/runs/", "build/", "dvc_plots/", "data/raw/fer2013.csv.gz"}
    assert [path for path in sorted(generated) if not git_ignores(path)] == []
    committed = [
        "dvc.lock",
        "params.yaml",
        "reports/evidence/results.csv",
        "reports/evidence/x-seed1/predictions.npz",
    ]
    assert [path for path in committed if git_ignores(path)] == []


def test_dvc_finds_nothing_to_ignore(pipeline):
    """DVC changes the .gitignore beside an output that git does not ignore."""
    from dvc.repo import Repo

    with Repo(str(PROJECT)) as repo:
        outs = [out for stage in repo.index.stages for out in stage.outs]
        paths = {str(Path(out.fspath).relative_to(PROJECT)) for out in outs}
        assert paths == set().union(*(outputs(stage) for stage in pipeline["stages"].values()))
        assert [str(out) for out in outs if not repo.scm.is_ignored(out.fspath)] == []


def test_dvc_sends_no_analytics_and_composes_the_profile(project):
    shown = subprocess.run(
        ["git", "config", "--file", ".dvc/config", "--list"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert "core.analytics=false" in shown
    assert "hydra.enabled=true" in [line.lower() for line in shown]
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    assert "export DVC_NO_ANALYTICS := true" in makefile


# The notebooks


@pytest.mark.parametrize("stage", NOTEBOOKS)
class TestNotebook:
    def test_opens_with_a_title_and_a_sentence(self, stage):
        first = read(stage).cells[0]
        assert first.cell_type == "markdown"
        assert re.match(r"# \S.*\n\n\S[^\n]*[.?!](\n|$)", first.source), first.source

    def test_declares_flat_parameters_each_with_a_comment(self, stage):
        tagged = [
            cell for cell in code_cells(stage) if "parameters" in cell.metadata.get("tags", ())
        ]
        assert len(tagged) == 1
        for statement in ast.parse(tagged[0].source).body:
            text = ast.unparse(statement)
            assert isinstance(statement, ast.Assign), text
            value = ast.literal_eval(statement.value)
            flat = value if isinstance(value, list) else [value]
            assert all(isinstance(item, str | int | float | bool) for item in flat), text
        declared = declared_parameters(read(stage))
        assert [p.name for p in declared if not p.comment] == []

    def test_uses_every_parameter(self, stage):
        """An unused parameter is the usual mistake with papermill."""
        rest = [
            cell.source
            for cell in code_cells(stage)
            if "parameters" not in cell.metadata.get("tags", ())
        ]
        tree = ast.parse(re.sub(r"^%.*$", "", "\n".join(rest), flags=re.M))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert sorted(set(parameters(stage)) - used) == []

    def test_has_short_cells(self, stage):
        for cell in code_cells(stage):
            lines = [line for line in cell.source.splitlines() if line.strip()]
            # Imports and parameters may take any number of lines.
            lines = [line for line in lines if not line.startswith(("import ", "from "))]
            if "parameters" not in cell.metadata.get("tags", ()):
                assert len(lines) <= 13, cell.id

    def test_explains_itself(self, stage):
        markdown = [cell for cell in read(stage).cells if cell.cell_type == "markdown"]
        assert len(markdown) >= len(code_cells(stage)) / 3

    def test_has_unique_ids_with_its_number(self, stage):
        """Random ids would change in every diff."""
        ids = [cell.id for cell in read(stage).cells]
        assert len(set(ids)) == len(ids)
        assert [cell for cell in ids if not cell.startswith(f"{NOTEBOOKS[stage][:2]}-")] == []

    def test_has_only_outputs_that_are_compared(self, stage):
        for cell in code_cells(stage):
            if MARK in cell.source:
                assert cell.outputs, f"{cell.id}: python tests/notebooks/check.py --update"
                assert cell.execution_count is not None, f"nbval skips {cell.id} without a count"
                types = {output.output_type for output in cell.outputs}
                assert types <= {"stream", "execute_result"}, cell.id
            else:
                assert (cell.outputs, cell.execution_count) == ([], None), cell.id

    def test_has_the_metadata_of_no_particular_machine(self, stage):
        notebook = read(stage)
        assert notebook.nbformat == 4
        assert notebook.metadata.language_info.name == "python"
        assert notebook.metadata.kernelspec.name == "python3"
        assert set(notebook.metadata) == {"kernelspec", "language_info"}
        for cell in notebook.cells:
            assert set(cell.metadata) <= {"tags", "alt", "caption"}, cell.id

    def test_names_no_path_of_a_machine(self, stage):
        text = (PROJECT / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb").read_text(encoding="utf-8")
        unix = r"(?<![\w.~])/(?:home|root|Users|tmp|var|work|mnt|content)/\S*"
        assert re.findall(rf"(?:{unix}|[A-Za-z]:\\\\\S*)", text) == []


def test_some_output_is_compared_in_most_notebooks():
    marked = [
        stage for stage in NOTEBOOKS if any(MARK in cell.source for cell in code_cells(stage))
    ]
    assert len(marked) >= 4, marked


def test_notebooks_have_the_format_of_nbformat():
    """Opening and saving a notebook in JupyterLab must not change other lines."""
    for name in NOTEBOOKS.values():
        text = (PROJECT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
        assert text == nbformat.writes(nbformat.reads(text, as_version=4)) + "\n", name
        assert json.loads(text)["nbformat_minor"] == 5


def test_a_new_import_changes_the_dependencies(tmp_path):
    shutil.copytree(PROJECT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "fer_utils").symlink_to(PROJECT / "fer_utils")
    before = stage_packages("explore", tmp_path)
    name = tmp_path / "notebooks" / f"{NOTEBOOKS['explore']}.ipynb"
    changed = nbformat.read(name, as_version=4)
    code = next(cell for cell in changed.cells if cell.cell_type == "code")
    code.source += "\nfrom fer_utils.tuning import search"
    nbformat.write(changed, name)
    assert "fer_utils/tuning" in set(stage_packages("explore", tmp_path)) - set(before)
