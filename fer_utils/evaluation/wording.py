"""Numbers in sentences and figures: percentages, percentage points and confidence intervals."""


def number(value: float, digits: int = 1, *, sign: bool = False) -> str:
    """Return a number with a true minus sign (U+2212); with `sign`, a plus sign as well."""
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def percent(share: float, digits: int = 1) -> str:
    """Return a share, 0 to 1, in percent: "12.3 %"."""
    return f"{number(100 * share, digits)} %"


def points(difference: float, digits: int = 1, *, sign: bool = False) -> str:
    """Return a difference of two shares, -1 to 1, in percentage points: "12.3 points"."""
    return f"{number(100 * difference, digits, sign=sign)} points"


def interval(low: float, high: float, digits: int = 1) -> str:
    """Return a 95 % confidence interval of shares or differences: "95 % CI 12.3 to 23.1"."""
    return f"95 % CI {number(100 * low, digits)} to {number(100 * high, digits)}"
