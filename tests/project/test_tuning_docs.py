"""docs/tuning.md: commands and scripts are valid, and the grid of experiments runs."""

import csv
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from budget import BUDGET

from fer_utils.cli.commands import _recipe
from fer_utils.cli.parser import make_parser
from fer_utils.cli.tune import parse_space
from fer_utils.tuning.oracles import ORACLES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")


def block(heading: str) -> str:
    """Return the first fenced block below a heading, with continued lines joined."""
    section = PAGE.split(f"\n{heading}\n")[1]
    script = re.search(r"^```\w*\n(.*?)^```$", section, re.M | re.S)[1]
    return re.sub(r" *\\\n *", " ", script)


def commands(script: str, **variables: str) -> list[list[str]]:
    """Return the words of each `fer-study tune` in a script, with these shell variables."""
    for name, value in variables.items():
        script = re.sub(rf"\$(?:{name}\b|\{{{name}[^}}]*\}})", lambda _, value=value: value, script)
    lines = [line for line in script.splitlines() if "fer-study tune" in line]
    lines = [line[line.index("fer-study tune") :] for line in lines]
    return [shlex.split(re.sub(r" >.*", "", line), comments=True) for line in lines]


def search_variable(script: str) -> str:
    """Return the value of the shell variable SEARCH."""
    return re.search(r'SEARCH="(.*)"', script)[1]


def check(words: list[str]) -> dict:
    """Parse a command with its recipe and search space; return the arguments."""
    arguments = make_parser().parse_args(words[1:])
    space = parse_space(arguments.search)
    space.declare(_recipe(arguments))
    assert arguments.oracle in ORACLES
    return vars(arguments)


def kubernetes() -> dict[tuple[str, str], dict]:
    """Return the manifests by kind and name."""
    manifests = yaml.safe_load_all(block("### Kubernetes"))
    return {(one["kind"], one["metadata"]["name"]): one for one in manifests}


# --- commands ---


def test_command_for_one_machine():
    (words,) = commands(block("## On one machine"))
    arguments = check(words)
    assert arguments["random"] and arguments["retrain"] == 3 and len(arguments["search"]) == 11


def test_chief_and_workers_have_the_same_search():
    script = block("## On several machines")
    found = commands(script, SEARCH=search_variable(script))
    chief, *workers = [check(words) for words in found]
    assert chief["chief"] == "0.0.0.0:5999" and [one["id"] for one in workers] == ["1", "2"]
    for worker in workers:
        assert worker["worker"] == "first:5999"
        for name in ("search", "set", "trials"):
            assert worker[name] == chief[name]


def test_slurm_script_starts_a_chief_and_workers():
    script = block("### Slurm")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    variables = {"SEARCH": search_variable(script), "SLURM_PROCID": "3", "CHIEF": "node:5999"}
    chief, worker = [check(words) for words in commands(script, **variables)]
    assert chief["chief"] and worker["worker"] == "node:5999" and worker["id"] == "3"
    assert chief["patience"] == worker["patience"] == 900 and chief["search"] == worker["search"]


def test_manifests_refer_to_each_other_and_have_valid_commands():
    found = kubernetes()
    config, service = found["ConfigMap", "tune"], found["Service", "tune-chief"]
    jobs = {name: found["Job", f"tune-{name}"]["spec"] for name in ("chief", "workers")}
    arguments = {}
    for name, job in jobs.items():
        spec = job["template"]["spec"]
        (container,) = spec["containers"]
        (variable,) = container["env"]
        assert variable["valueFrom"]["configMapKeyRef"] == {
            "name": config["metadata"]["name"],
            "key": "search",
        }
        mounts = container["volumeMounts"]
        assert {mount["name"] for mount in mounts} == {volume["name"] for volume in spec["volumes"]}
        assert container["command"][:2] == ["sh", "-c"]
        values = {variable["name"]: config["data"]["search"], "JOB_COMPLETION_INDEX": "0"}
        (words,) = commands(container["command"][2], **values)
        arguments[name] = check(words)
        written = arguments[name]["out" if name == "chief" else "runs"]
        folders = {str(arguments[name]["data"]), str(written)}
        assert folders <= {mount["mountPath"] for mount in mounts}
    port = service["spec"]["ports"][0]["port"]
    assert arguments["workers"]["worker"] == f"{service['metadata']['name']}:{port}"
    assert arguments["chief"]["chief"].endswith(f":{port}") and arguments["workers"]["id"] == "0"
    assert jobs["workers"]["completionMode"] == "Indexed"
    policy = found["NetworkPolicy", "tune-chief"]["spec"]
    labels = {name: job["template"]["metadata"]["labels"] for name, job in jobs.items()}
    assert service["spec"]["selector"] == policy["podSelector"]["matchLabels"] == labels["chief"]
    (rule,) = policy["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"] == labels["workers"]


# --- experiments ---


@pytest.mark.slow
def test_grid_of_experiments_runs_with_fewer_trials(tmp_path):
    from clone import Clone

    clone = Clone(tmp_path)
    script = block("## DVC experiments")
    small = " ".join(
        f"-S 'tune.{name}={value}'" for name, value in BUDGET["tune"].items() if name != "epochs"
    )
    smaller = script.replace("-S tune.trials=3", small)
    assert smaller != script
    queue, show = re.split(r"\n(?=dvc exp show)", smaller)
    clone.run("git", "config", "user.email", "reader@localhost")
    clone.run("git", "config", "user.name", "reader")
    try:
        clone.run("bash", "-euc", queue)
        deadline = time.monotonic() + 1800
        # Ask git, because the queue's commands use the message broker of its worker.
        while len(names(clone)) < 4:
            assert time.monotonic() < deadline, "experiments are missing"
            time.sleep(2)
    finally:
        clone.run("dvc", "queue", "stop", "--kill", check=False)

    # The smaller budget adds columns that the page's grid does not have.
    cut = "|".join(rf"tune\.{name}$" for name in BUDGET["tune"] if name != "epochs")
    table = clone.run("bash", "-euc", show.replace("--drop '", f"--drop '{cut}|")).stdout
    lines = [line.rstrip() for line in table.splitlines()]
    assert max(map(len, lines)) <= 120, table
    heading = next(line for line in lines if "Experiment" in line)
    wanted = {
        "best_public_accuracy",
        "retrained_public_accuracy",
        "gain",
        "tune.oracle",
        "tune.epochs",
    }
    assert set(heading.split()) == {"Experiment"} | wanted

    rows = csv.DictReader(clone.run("dvc", "exp", "show", "--csv").stdout.splitlines())
    rows = {row["Experiment"]: row for row in rows if row["Experiment"] in names(clone)}
    tried = {(row["tune.oracle"], row["tune.epochs"]) for row in rows.values()}
    assert tried == {("random", "1"), ("random", "2"), ("bayesian", "1"), ("bayesian", "2")}
    runs = list((clone.root / "data" / "runs").glob("*/run.json"))
    # Each experiment has 2 trials and 3 recipes with 3 seeds. The untuned runs are shared.
    assert 0 < len(runs) <= 44 - 2 * 3

    first, second, *_ = rows
    # The other stages have no outputs yet, as the page explains.
    applied = clone.run("dvc", "exp", "apply", first, check=False)
    assert "Checkout failed" in applied.stderr and "notebooks/03_tune" not in applied.stderr
    applied = yaml.safe_load((clone.root / "params.yaml").read_text(encoding="utf-8"))["tune"]
    assert [applied["oracle"], str(applied["epochs"])] == [
        rows[first][f"tune.{name}"] for name in ("oracle", "epochs")
    ]
    assert (clone.root / "reports" / "notebooks" / "03_tune.ipynb").is_file()
    clone.run("dvc", "plots", "diff", first, second)
    page = (clone.root / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert first in page and second in page
    clone.run("dvc", "exp", "remove", second)
    assert second not in names(clone) and first in names(clone)


def names(clone) -> set[str]:
    """Return the experiments that have ended, from git; waiting ones are in DVC's stash."""
    listed = clone.run(
        "git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps"
    ).stdout.split()
    return {name for name in listed if "/" not in name and name != "stash"}
