"""Ratios that know when they are undefined."""

from __future__ import annotations


def ratio(part: float, whole: float) -> float | None:
    """``part / whole``, None when there is no whole."""
    return float(part) / float(whole) if whole else None


def precision_recall_f1(hits: int, n_result: int, n_truth: int) -> tuple[float | None, float | None, float | None]:
    """Hits among what was claimed, hits among what is true, and 2 hits / (claimed + true); None where nothing was claimed or is true."""
    return ratio(hits, n_result), ratio(hits, n_truth), ratio(2 * hits, n_result + n_truth)
