"""Ablation: one change per variant, with equal training, compared on PublicTest."""

import numpy as np
import pandas as pd
import pytest

from fer_utils.emotions import PUBLIC
from fer_utils.errors import StudyError
from fer_utils.training.ablation import ADDED, LEFT_OUT, ablate, ablation_finding, variants
from fer_utils.training.recipes import get_recipe
from fer_utils.training.runs import Run


def test_each_variant_leaves_out_or_adds_one_component():
    base = get_recipe("small_resnet")
    found = variants(base)
    assert found.pop("all of it") == base
    assert {name[2:] for name in found} == set(LEFT_OUT), "each is present or missing"
    for name, recipe in found.items():
        changes = {"-": LEFT_OUT, "+": ADDED}[name[0]][name[2:]]
        assert recipe == base.but(name=recipe.name, **changes) != base.but(name=recipe.name)
    assert {name for name in found if name[0] == "+"} == {f"+ {name}" for name in ADDED}
    assert len({recipe.name for recipe in found.values()}) == len(found)


def test_defaults_of_the_network_count_and_options_that_it_lacks_do_not():
    found = variants(get_recipe("resnet"))
    assert {"- mixup", "- CutMix", "- stochastic depth"} < set(found)
    assert "+ sharpness-aware minimisation" in found
    plain = variants(get_recipe("baseline_cnn"))
    assert not [
        name
        for name in plain
        if name[2:] in ("stochastic depth", "SGD", "cosine schedule", "warm-up")
    ]
    assert {"- mirroring", "+ mixup"} < set(plain)


def test_muon_is_left_out_for_sgd_and_added_to_others():
    base = get_recipe("speedrun")
    assert base.optimizer == "muon"
    found = variants(base)
    assert not {name for name in found if name.endswith("SGD")}
    sgd = get_recipe("speedrun_sgd")
    assert found["- Muon"] == sgd.but(name="speedrun-without-muon")
    assert variants(sgd)["+ Muon"] == base.but(name="speedrun_sgd-with-muon")


def test_the_table_is_of_the_runs(tiny_network, faces, recipe, tmp_path):
    seen = faces.without_private()
    table = ablate(recipe, seen, [1, 2], tmp_path, names=["- mirroring", "+ mixup"], progress=False)
    assert len(list(tmp_path.glob("*/run.json"))) == 6
    assert table["variant"][0] == "all of it" and set(table["variant"][1:]) == {
        "- mirroring",
        "+ mixup",
    }
    assert table["difference"][1:].is_monotonic_increasing and table.loc[0, "difference"] == 0
    public = faces.of(PUBLIC)
    for row in table.to_dict("records"):
        name = variants(recipe)[row["variant"]].name
        runs = [Run(folder) for folder in sorted(tmp_path.glob(f"{name}-seed*"))]
        accuracies = [np.mean(run.logits(public).argmax(axis=1) == public.emotion) for run in runs]
        assert row["accuracy"] == pytest.approx(np.mean(accuracies)) and row["seeds"] == 2
        assert row["spread"] == pytest.approx(np.std(accuracies, ddof=1))
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
        assert row["difference"] == pytest.approx(row["accuracy"] - table.loc[0, "accuracy"])


def test_privatetest_no_seeds_and_unknown_names_are_refused(faces, recipe, tmp_path):
    with pytest.raises(StudyError, match="ablate: expected faces without PrivateTest"):
        ablate(recipe, faces, [1], tmp_path)
    seen = faces.without_private()
    with pytest.raises(StudyError, match="seeds: expected one or more"):
        ablate(recipe, seen, [], tmp_path)
    with pytest.raises(StudyError, match=r"variants: expected .*all of it, .*, found - nonsense"):
        ablate(recipe, seen, [1], tmp_path, names=["- nonsense"])


def test_changes_that_the_rest_of_the_recipe_does_not_allow_are_left_out():
    found = variants(get_recipe("tang_l2svm"))
    # The squared hinge allows no mixing, and Tang's schedule requires SGD.
    assert not [name for name in found if name[2:] in ("mixup", "CutMix", "SGD")]
    assert "+ sharpness-aware minimisation" in found


def table_of(*rows: tuple[str, float, float, float], seeds: int = 2) -> pd.DataFrame:
    columns = ["variant", "difference", "difference_low", "difference_high"]
    return pd.DataFrame([("all of it", 0.0, 0.0, 0.0), *rows], columns=columns).assign(seeds=seeds)


def test_the_finding_counts_significant_changes_and_names_the_largest():
    finding = ablation_finding(
        table_of(("- mirroring", -0.03, -0.05, -0.01), ("+ mixup", 0.01, -0.01, 0.03))
    )
    assert finding.startswith("1 of 2 changes makes ") and "2 seeds each" in finding
    assert "leaving out mirroring: −3.0 points (95 % CI −5.0 to −1.0)" in finding
    assert "0.1 would be expected by chance" in finding
    finding = ablation_finding(
        table_of(("- dropout", 0.02, 0.01, 0.03), ("+ CutMix", -0.04, -0.06, -0.02))
    )
    assert finding.startswith("2 of 2 changes make ") and "adding CutMix: −4.0 points" in finding
    unclear = [("+ mixup", 0.01, -0.01, 0.03), ("- dropout", 0.0, -0.01, 0.01)]
    finding = ablation_finding(table_of(*unclear, seeds=1))
    assert finding.startswith("None of the 2 changes ") and "1 seed each" in finding
