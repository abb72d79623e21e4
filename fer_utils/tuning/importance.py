"""Which hyperparameters a search's scores hang on."""

import numpy as np
import pandas as pd

LEAST_TRIALS = 8
"""Fewer say nothing about any hyperparameter."""


def encoded(ledger: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Hyperparameters as numbers: rates by their logarithm, words by their place in the alphabet, and what means
    nothing beside the others by the median."""
    table = pd.DataFrame(index=ledger.index)
    for name in names:
        column = ledger[name]
        if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
            column = column.astype("category").cat.codes
        elif name in ("learning_rate", "weight_decay"):
            column = np.log10(column)
        table[name] = column.astype(np.float64).fillna(column.median())
    return table


def importance(ledger: pd.DataFrame, names: tuple[str, ...], seed: int = 0) -> pd.DataFrame:
    """Permutation importance of each hyperparameter for the score (Breiman 2001), on trials left out.

    A random forest learns the score of four fifths of the trials that worked, and predicts the others'; importance is
    how much larger its error there is with one hyperparameter's values shuffled. Five folds, twice. Where trials had
    different epochs, epochs count as a hyperparameter.

    Its limit is the forest's: `explained` is the share of the scores' variance that it predicts for trials left out.
    At 0 or less it predicts no better than the mean, and the importances are noise; few trials of many
    hyperparameters end there. Of two hyperparameters that the search moved together either may get the credit.

    Args:
        ledger: a search's.
        names: its hyperparameters.
        seed: of forest, folds and shuffling.

    Returns:
        Columns hyperparameter, importance (root mean square error gained, in accuracy, 0 to 1), deviation (over the
        ten folds) and explained (the same in each row), most important first; no row where fewer than
        `LEAST_TRIALS` trials worked or nothing varied.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import r2_score
    from sklearn.model_selection import RepeatedKFold

    done = ledger[ledger["status"] == "completed"].sort_values("trial", ignore_index=True)
    varied = [name for name in (*names, "epochs") if done[name].nunique() > 1]
    columns = ["hyperparameter", "importance", "deviation", "explained"]
    if len(done) < LEAST_TRIALS or not varied:
        return pd.DataFrame(columns=columns)
    inputs, scores = encoded(done, varied).to_numpy(), done["val_accuracy"].to_numpy(np.float64)
    gained, predicted = [], np.zeros(len(done))
    for learn, left in RepeatedKFold(n_splits=5, n_repeats=2, random_state=seed).split(inputs):
        forest = RandomForestRegressor(100, min_samples_leaf=2, random_state=seed).fit(
            inputs[learn], scores[learn]
        )
        predicted[left] += forest.predict(inputs[left]) / 2
        shuffled = permutation_importance(
            forest,
            inputs[left],
            scores[left],
            scoring="neg_root_mean_squared_error",
            n_repeats=5,
            random_state=seed,
        )
        gained.append(shuffled.importances_mean)
    table = pd.DataFrame(
        {
            "hyperparameter": varied,
            "importance": np.mean(gained, axis=0),
            "deviation": np.std(gained, axis=0, ddof=1),
            "explained": r2_score(scores, predicted),
        },
        columns=columns,
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def importance_finding(table: pd.DataFrame) -> str:
    """What `importance` says, in a sentence."""
    if table.empty:
        return f"Fewer than {LEAST_TRIALS} trials worked: too few to say which hyperparameter mattered."
    explained = table["explained"][0]
    if explained <= 0:
        return (
            f"From {len(table)} hyperparameters the score of a trial left out cannot be predicted "
            f"(R² {explained:.2f}): "
            "the search says nothing about which of them mattered."
        )
    top = table.iloc[0]
    return (
        f"The scores hang most on {top['hyperparameter'].replace('_', ' ')}: without it, predictions of trials left "
        f"out are wrong by {100 * top['importance']:.2f} points more. All hyperparameters together predict "
        f"{explained:.0%} of the variance."
    )
