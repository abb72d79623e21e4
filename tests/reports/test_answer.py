"""The answer to "how accurate is it?" is chosen on PublicTest."""

import pandas as pd

from fer_utils.reports.answer import answers

ENDS = ("accuracy", "low", "high", "spread")


def write(folder, *rows):
    """Write a table of results with rows of (model, seeds, TTA, PublicTest, PrivateTest)."""
    table = []
    for model, seeds, tta, public, private in rows:
        row = {"model": model, "seeds": seeds, "tta": tta, "public_accuracy": public}
        for end in ENDS:
            row |= {f"private_{end}": private, f"unleaked_{end}": private - 0.02}
        table.append(row)
    pd.DataFrame(table).to_csv(folder / "results.csv", index=False)


def test_most_seeds_come_first_and_ensembles_stand_apart(tmp_path):
    write(
        tmp_path,
        ("lucky", "1", "", 0.72, 0.69),
        ("half lucky", "1, 2", "", 0.71, 0.72),
        ("network", "1, 2, 3", "flip", 0.70, 0.68),
        ("network", "1, 2, 3", "", 0.69, 0.71),
        ("ensemble (2 networks)", "1, 2", "", 0.73, 0.70),
    )
    single, ensemble = answers(tmp_path)
    assert (single.model, single.tta, single.seeds) == ("network", "flip", "1, 2, 3")
    assert single.accuracy == 0.68 and round(single.unleaked, 4) == 0.66
    assert ensemble.model == "ensemble (2 networks)"


def test_one_seed_is_an_answer_if_there_are_no_more(tmp_path):
    write(tmp_path, ("a", 1, "", 0.5, 0.6), ("b", 2, "", 0.6, 0.5))
    single, ensemble = answers(tmp_path)
    assert single.model == "b" and ensemble is None
    assert answers(tmp_path / "none") == (None, None)
