"""Numbers and names as a reader sees them."""

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from astro_lightning.report.scores import Estimate

SIMULATED = "Simulated data: these numbers show that the code runs; they are not evidence of quality."
METRIC_NAMES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "log_loss": "Log loss",
    "calibration_error": "Calibration error",
    "balanced_accuracy": "Balanced accuracy",
}
_ACRONYMS = {"gib": "GiB"} | {
    word: word.upper() for word in ("auc", "ap", "mcc", "f1", "roc", "pr", "sdss", "boss", "snr", "mdr", "fpr")
}
LOWER_IS_BETTER = {"log_loss", "calibration_error"}


def metric_name(key: str) -> str:
    """Name of a metric without its stage and split: `test/macro_f1` is Macro F1."""
    last = key.removeprefix("test/").removeprefix("val/").removeprefix("train/")
    if last == "n":
        return "Objects"
    words = METRIC_NAMES.get(last) or " ".join(_ACRONYMS.get(word, word) for word in last.split("_"))
    words = re.sub(r"SNR (\d+) (\d+|inf)", r"at SNR \1 to \2", words)
    return words[:1].upper() + words[1:]


def number(value: Any, digits: int = 3) -> str:
    """A number in fixed or, where that would say little, in scientific notation; `n/a` where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "n/a"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) >= 1000):
        return f"{int(value):,}"
    if value and math.isfinite(value) and not 10**-digits <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{digits}f}"


def interval(estimate: Estimate | None, digits: int = 3) -> str:
    """Bounds in square brackets, or nothing."""
    if estimate is None or math.isnan(estimate.low):
        return ""
    return f"[{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"


def estimated(row: Mapping[Any, Any], name: str) -> str:
    """A number of a table with the 95 % interval that the row has as `<name>_low` and `<name>_high`."""
    found = Estimate(*(float(row[key]) for key in (name, f"{name}_low", f"{name}_high")))
    return f"{number(found.value)} {interval(found)}".strip()


def says_quality(key: str) -> bool:
    """Whether a recorded value says something of its own: learning rates and counts of objects do not."""
    return "/lr-" not in key and "/n_of_" not in key and key != "test/n"


def breakable(name: str) -> str:
    """A dotted or slashed name as HTML that a narrow screen breaks between its words, not inside them."""
    return re.sub(r"([./_])", r"\1<wbr>", escape(name))


def of_class(key: str, classes: Sequence[str]) -> bool:
    """Whether a recorded metric such as `test/f1_SN Ia` or `test/f1_AGN/QSO` belongs to one class."""
    return any(key.endswith(f"_{name}") for name in classes)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted path."""
    settings: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            settings |= flat(value, f"{prefix}{key}.")
        else:
            settings[f"{prefix}{key}"] = value
    return settings
