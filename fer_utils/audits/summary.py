"""The numbers of all audits, as plain values and as text."""

import pandas as pd

from fer_utils.audits.duplicates import (
    copied,
    copy_groups,
    leaked,
    leaked_same_label,
    redundant_duplicates,
)
from fer_utils.audits.labels import agrees_with_label, outcomes
from fer_utils.audits.near_duplicates import (
    MEANINGLESS,
    SIMILAR,
    expected_by_chance,
    near_duplicates,
    near_leaked,
)
from fer_utils.audits.pictures import NEAR_CONSTANT, near_constant
from fer_utils.audits.planted import planted_table
from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE, PUBLIC, TRAINING, USAGES


def summarise(faces: Faces, near: pd.DataFrame | None = None) -> dict:
    """Run all audits.

    Args:
        faces: of any source and number.
        near: the result of `near_duplicates(faces)`; None computes it.

    Returns:
        A dictionary that can be written as JSON. All numbers are counts of images unless stated.

        - source, images, images_by_usage (by split)
        - redundant_duplicates (images that repeat another one), images_with_duplicates
        - conflicting_groups (pictures whose exact duplicates have several labels)
        - near_constant
        - leaked, leaked_same_label: by test split, the images with an exact duplicate in Training,
          and those with one of the same label. None if the split or Training has no image.
        - near_duplicates: threshold, pairs, flipped_pairs, conflicting_pairs (numbers of pairs),
          expected_by_chance_at_most (share of pairs), leaked and leaked_more (by test split, the
          images with a near-duplicate in Training, and those of them without an exact duplicate)
        - votes: agreement (share of labels that are the FER+ majority), not_a_face; None without
          votes
        - planted: for drawn faces, the rows of `planted_table`; None for other faces
    """
    sizes = {usage: int((faces.usage == usage).sum()) for usage in USAGES}
    pairs = near_duplicates(faces) if near is None else near
    exact: dict[str, int | None] = dict.fromkeys((PUBLIC, PRIVATE))
    same_label, near_leaks, more = exact.copy(), exact.copy(), exact.copy()
    for usage in exact:
        if sizes[usage] and sizes[TRAINING]:
            by_exact, by_near = leaked(faces, usage), near_leaked(faces, usage, pairs)
            exact[usage] = int(by_exact.sum())
            same_label[usage] = int(leaked_same_label(faces, usage).sum())
            near_leaks[usage] = int(by_near.sum())
            more[usage] = int((by_near & ~by_exact).sum())
    return {
        "source": faces.source,
        "images": len(faces),
        "images_by_usage": sizes,
        "redundant_duplicates": redundant_duplicates(faces),
        "images_with_duplicates": int(copied(faces).sum()),
        "conflicting_groups": int((copy_groups(faces)["labels"] > 1).sum()),
        "near_constant": int(near_constant(faces).sum()),
        "leaked": exact,
        "leaked_same_label": same_label,
        "near_duplicates": {
            "threshold": SIMILAR,
            "pairs": len(pairs),
            "flipped_pairs": int(pairs["flipped"].sum()),
            "conflicting_pairs": int((~pairs["same_label"]).sum()),
            "expected_by_chance_at_most": expected_by_chance(pairs),
            "leaked": near_leaks,
            "leaked_more": more,
        },
        "votes": _votes(faces),
        "planted": _planted(faces),
    }


def summary_text(summary: dict) -> str:
    """Format the numbers of `summarise` as text, one audit per line."""
    images, near = summary["images"], summary["near_duplicates"]
    by_usage = ", ".join(
        f"{usage} {count:,}" for usage, count in summary["images_by_usage"].items()
    )
    lines = [
        f"{images:,} images of {summary['source']!r}: {by_usage}",
        f"Exact duplicates: {summary['redundant_duplicates']:,} images "
        f"({_share(summary['redundant_duplicates'], images)}) repeat another one; "
        f"{summary['conflicting_groups']:,} pictures have duplicates with different labels",
    ]
    chance = near["expected_by_chance_at_most"]
    significant = chance is None or chance < MEANINGLESS
    for usage, count in summary["leaked"].items():
        if count is None:
            continue
        total = summary["images_by_usage"][usage]
        line = (
            f"  {usage}: {count:,} images ({_share(count, total)}) have a duplicate in Training, "
            f"{summary['leaked_same_label'][usage]:,} with the same label"
        )
        if significant:
            line += f"; {near['leaked_more'][usage]:,} more have a near-duplicate there"
        lines.append(line)
    line = (
        f"Near-duplicates (similarity {near['threshold']:g} or more): {near['pairs']:,} pairs, "
        f"{near['conflicting_pairs']:,} with different labels, {near['flipped_pairs']:,} flipped"
    )
    if chance is not None:
        line += f"; at most {chance:.1%} of the others by chance"
    if not significant:
        line += "; not significant"
    lines += [
        line,
        f"Near-constant (standard deviation under {NEAR_CONSTANT:g} grey level): "
        f"{summary['near_constant']:,} images",
    ]
    if (votes := summary["votes"]) is not None:
        lines.append(
            f"FER+ votes: the majority agrees with {votes['agreement']:.1%} of the labels; "
            f"{votes['not_a_face']:,} images are not a face by majority"
        )
    for row in summary["planted"] or ():
        precision, recall = (
            "-" if row[name] is None else f"{row[name]:.1%}" for name in ("precision", "recall")
        )
        lines.append(
            f"Planted, {row['audit']}: precision {precision}, recall {recall} ({row['right']:,} of "
            f"{row['planted']:,})"
        )
    return "\n".join(lines)


def _votes(faces: Faces) -> dict | None:
    if faces.votes is None or not len(faces):
        return None
    return {
        "agreement": float(agrees_with_label(faces).mean()),
        "not_a_face": int((outcomes(faces) == "not a face").sum()),
    }


def _planted(faces: Faces) -> list[dict] | None:
    if faces.truth is None:
        return None
    table = planted_table(faces)
    # JSON has no NaN.
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _share(count: int, total: int) -> str:
    return f"{count / max(1, total):.2%}"
