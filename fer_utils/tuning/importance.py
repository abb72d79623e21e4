"""Importance of hyperparameters for the scores of a search."""

import numpy as np
import pandas as pd

from fer_utils.evaluation.wording import number, percent, points

LEAST_TRIALS = 8
"""Importance is not estimated from fewer completed trials."""


def importance(ledger: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Estimate the permutation importance of each hyperparameter (Breiman 2001).

    A random forest is fitted to the scores of four fifths of the completed trials and predicts the
    scores of the rest. The importance of a hyperparameter is the increase of the prediction error
    when its values are shuffled. There are five folds, repeated twice. If the trials have
    different numbers of epochs, epochs count as a hyperparameter.

    The result is only as good as the forest. `explained` is the share of the scores' variance that
    it predicts for held-out trials. At 0 or less, it predicts no better than the mean, and the
    importances are noise. That is common with few trials and many hyperparameters. If the search
    changed two hyperparameters together, either may get the importance.

    Args:
        ledger: ledger of a search.
        names: its hyperparameters.

    Returns:
        Columns hyperparameter, importance (increase of the root mean square error, in accuracy, 0
        to 1), deviation (standard deviation over the ten folds) and explained (equal in all rows),
        most important first. There is no row if fewer than `LEAST_TRIALS` trials completed or no
        hyperparameter varied.
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
    inputs, scores = _encoded(done, varied).to_numpy(), done["val_accuracy"].to_numpy(np.float64)
    increases, predicted = [], np.zeros(len(done))
    folds = RepeatedKFold(n_splits=5, n_repeats=2, random_state=0)
    for fitted, held_out in folds.split(inputs):
        forest = RandomForestRegressor(100, min_samples_leaf=2, random_state=0)
        forest.fit(inputs[fitted], scores[fitted])
        # Each trial is held out twice: its prediction is the mean of two.
        predicted[held_out] += forest.predict(inputs[held_out]) / 2
        shuffled = permutation_importance(
            forest,
            inputs[held_out],
            scores[held_out],
            scoring="neg_root_mean_squared_error",
            n_repeats=5,
            random_state=0,
        )
        increases.append(shuffled.importances_mean)
    table = pd.DataFrame(
        {
            "hyperparameter": varied,
            "importance": np.mean(increases, axis=0),
            "deviation": np.std(increases, axis=0, ddof=1),
            "explained": r2_score(scores, predicted),
        },
        columns=columns,
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def importance_finding(table: pd.DataFrame) -> str:
    """Summarise the table of `importance` in one or two sentences."""
    if table.empty:
        return (
            f"Fewer than {LEAST_TRIALS} trials completed, or no hyperparameter varied. "
            "Importance cannot be estimated."
        )
    explained = table["explained"][0]
    if explained <= 0:
        return (
            f"The {len(table)} hyperparameters do not predict the accuracy of held-out trials "
            f"(R² = {number(explained, 2)}). Their importance is unknown."
        )
    top = table.iloc[0]
    return (
        f"The most important hyperparameter is the {top['hyperparameter'].replace('_', ' ')}: "
        f"shuffling it raises the prediction error by {points(top['importance'], 2)}. "
        f"All hyperparameters together explain {percent(explained, 0)} of the variance of accuracy."
    )


def _encoded(ledger: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Encode hyperparameters as numbers.

    Rates become logarithms and categories become codes in alphabetical order. A value that does
    not apply to a trial becomes the median.
    """
    table = pd.DataFrame(index=ledger.index)
    for name in names:
        column = ledger[name]
        if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
            column = column.astype("category").cat.codes
        elif name in ("learning_rate", "weight_decay"):
            column = np.log10(column)
        table[name] = column.astype(np.float64).fillna(column.median())
    return table
