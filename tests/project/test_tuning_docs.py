"""docs/tuning.md: its commands are those of the program, its scripts are scripts, and its grid of experiments runs."""

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
    """The first fenced block below a heading."""
    section = PAGE.split(f"\n{heading}\n")[1]
    return re.search(r"^```\w*\n(.*?)^```$", section, re.M | re.S)[1]


def commands(script: str, **variables: str) -> list[list[str]]:
    """The words of each `fer-study tune` in a script, once a shell has put in these variables."""
    for name, value in variables.items():
        script = re.sub(rf"\$(?:{name}\b|\{{{name}[^}}]*\}})", lambda _, value=value: value, script)
    lines = script.replace("\\\n", " ").splitlines()
    found = [line[line.index("fer-study tune") :] for line in lines if "fer-study tune" in line]
    return [shlex.split(re.sub(r" >.*", "", line), comments=True) for line in found]


def check(words: list[str]) -> dict:
    """The program takes these words, down to the recipe and the space; gives what they mean."""
    given = make_parser().parse_args(words[1:])
    space = parse_space(given.search)
    space.declare(_recipe(given))
    assert given.oracle in ORACLES
    return vars(given)


def kubernetes() -> dict[tuple[str, str], dict]:
    return {
        (each["kind"], each["metadata"]["name"]): each
        for each in yaml.safe_load_all(block("### Kubernetes"))
    }


# --- commands ---


def test_the_search_on_one_machine_is_one():
    (words,) = commands(block("## On one machine"))
    given = check(words)
    assert given["random"] and given["retrain"] == 3 and len(given["search"]) == 11


def test_chief_and_workers_have_the_same_search():
    script = block("## On several machines")
    chief, *workers = [
        check(words) for words in commands(script, SEARCH=re.search(r'SEARCH="(.*)"', script)[1])
    ]
    assert chief["chief"] == "0.0.0.0:5999" and [each["id"] for each in workers] == ["1", "2"]
    for each in workers:
        assert each["worker"] == "first:5999"
        assert [each[name] for name in ("search", "set", "trials")] == [
            chief[n] for n in ("search", "set", "trials")
        ]


def test_the_slurm_script_is_one_and_starts_a_chief_and_workers():
    script = block("### Slurm")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    given = {"SEARCH": re.search(r'SEARCH="(.*)"', script)[1], "SLURM_PROCID": "3"}
    chief, worker = [check(words) for words in commands(script, CHIEF="node:5999", **given)]
    assert chief["chief"] and worker["worker"] == "node:5999" and worker["id"] == "3"
    assert chief["patience"] == worker["patience"] == 900 and chief["search"] == worker["search"]


def test_what_the_manifests_name_is_there():
    found = kubernetes()
    config, service = found["ConfigMap", "tune"], found["Service", "tune-chief"]
    chief, workers = found["Job", "tune-chief"]["spec"], found["Job", "tune-workers"]["spec"]
    given = {}
    for job in (chief, workers):
        spec = job["template"]["spec"]
        (container,) = spec["containers"]
        (variable,) = container["env"]
        assert variable["valueFrom"]["configMapKeyRef"] == {
            "name": config["metadata"]["name"],
            "key": "search",
        }
        assert {mount["name"] for mount in container["volumeMounts"]} == {
            volume["name"] for volume in spec["volumes"]
        }
        assert container["command"][:2] == ["sh", "-c"]
        values = {variable["name"]: config["data"]["search"], "JOB_COMPLETION_INDEX": "0"}
        (words,) = commands(container["command"][2], **values)
        given[job is chief] = check(words)
        mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
        read = given[job is chief]
        written = str(read["out"] if job is chief else read["runs"])
        assert str(read["data"]) in mounted and written in mounted
    assert (
        given[False]["worker"]
        == f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    )
    assert (
        given[True]["chief"].endswith(":5999")
        and given[False]["id"] == "0"
        and workers["completionMode"] == "Indexed"
    )
    policy = found["NetworkPolicy", "tune-chief"]["spec"]
    labels = chief["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == policy["podSelector"]["matchLabels"] == labels
    (rule,) = policy["ingress"]
    assert (
        rule["from"][0]["podSelector"]["matchLabels"] == workers["template"]["metadata"]["labels"]
    )


# --- experiments ---


@pytest.mark.slow
def test_the_grid_of_experiments_runs_as_written_but_smaller(tmp_path):
    from clone import Clone

    clone = Clone(tmp_path)
    script = block("## DVC experiments")
    small = " ".join(
        f"-S 'tune.{name}={value}'" for name, value in BUDGET["tune"].items() if name != "epochs"
    )
    smaller = script.replace("-S tune.trials=3", small)
    assert smaller != script
    *queue, show = re.split(r"(?<=[^\\])\n(?=dvc exp show)", smaller)
    clone.run("git", "config", "user.email", "reader@localhost")
    clone.run("git", "config", "user.name", "reader")
    try:
        clone.run("bash", "-euc", queue[0])
        deadline = time.monotonic() + 1800
        # Asked of git: what is asked of the queue goes through the worker's broker.
        while len(names(clone)) < 4:
            assert time.monotonic() < deadline, "experiments are missing"
            time.sleep(2)
    finally:
        clone.run("dvc", "queue", "stop", "--kill", check=False)

    # The cuts are columns as well, which the page's own grid does not have.
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
    # Two trials and three recipes with three seeds each make 11 an experiment; the untuned ones, at least, are shared.
    assert 0 < len(runs) <= 44 - 2 * 3

    first, second, *_ = rows
    # Of the other stages there is nothing yet, which DVC takes for missing from its cache; the page says so.
    applied = clone.run("dvc", "exp", "apply", first, check=False)
    assert "Checkout failed" in applied.stderr and "reports/html/03_tune.html" not in applied.stderr
    applied = yaml.safe_load((clone.root / "params.yaml").read_text(encoding="utf-8"))["tune"]
    assert [applied["oracle"], str(applied["epochs"])] == [
        rows[first][f"tune.{name}"] for name in ("oracle", "epochs")
    ]
    assert (clone.root / "reports" / "html" / "03_tune.html").is_file()
    clone.run("dvc", "plots", "diff", first, second)
    page = (clone.root / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert first in page and second in page
    clone.run("dvc", "exp", "remove", second)
    assert second not in names(clone) and first in names(clone)


def names(clone) -> set[str]:
    """The experiments that have ended, as git has them; one that waits is in DVC's stash."""
    listed = clone.run(
        "git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps"
    ).stdout.split()
    return {name for name in listed if "/" not in name and name != "stash"}
