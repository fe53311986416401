"""A promise by plain loops: risks of subjects, p-values bet by bet, one threshold after the other."""

import math

import numpy as np

ORDERS = 20


def risks_of(rows):
    """Rows of scans and thresholds -> {risk: {threshold: {subject: mean over its scans}}}."""
    found = {"missed": {}, "false_positives": {}}
    for row in rows:
        if row["n_reference_lesions"] == 0 and row["reference_volume_mm3"] > 0:
            continue
        t, subject = row["threshold"], row["subject"]
        if row["n_reference_lesions"]:
            share = (row["n_reference_lesions"] - row["n_detected_lesions"]) / row["n_reference_lesions"]
            found["missed"].setdefault(t, {}).setdefault(subject, []).append(share)
        false = row["n_predicted_lesions"] - row["n_true_predicted_lesions"]
        found["false_positives"].setdefault(t, {}).setdefault(subject, []).append(false)
    return {
        risk: {t: {subject: sum(v) / len(v) for subject, v in people.items()} for t, people in by_t.items()}
        for risk, by_t in found.items()
    }


def p_value(losses, limit, aim):
    """Losses in [0, 1], by subject in the order of names; the mean of the capital over orders."""
    rng, n, total = np.random.default_rng(0), len(losses), 0.0
    for order in [rng.permutation(n) for _ in range(ORDERS)]:
        capital, mean_sum, squares, variance = 1.0, 0.5, 0.25, 0.25
        for count, place in enumerate(order, start=1):
            bet = min(1.0, math.sqrt(2 * math.log(1 / aim) / (n * variance)))
            capital *= 1 - bet * (losses[place] - limit)
            mean_sum += losses[place]
            squares += (losses[place] - mean_sum / (1 + count)) ** 2
            variance = squares / (1 + count)
        total += capital
    return min(1.0, ORDERS / total)


def kept_thresholds(risks, limit, risk, error_rate):
    """The thresholds that are shown to keep one limit."""
    ascending = sorted(t for t in risks if t > 0)
    order, starts = (ascending, (0.05, 0.15)) if risk == "missed" else (ascending[::-1], (1.0, 0.5))
    begun = set()
    for start in starts:
        at = [k for k, t in enumerate(order) if (t >= start - 1e-12 if risk == "missed" else t <= start + 1e-12)]
        begun |= {at[0]} if at else set()
    begun = begun or {0}
    largest = 1.0 if risk == "missed" else 5 * limit
    level, held, kept = error_rate / len(begun), 0.0, set()
    for place, t in enumerate(order):
        held += level if place in begun else 0.0
        losses = [min(risks[t][subject], largest) / largest for subject in sorted(risks[t])]
        if held and p_value(losses, limit / largest, level) <= held:
            kept.add(t)
        else:
            held = 0.0
    return kept


def promised_threshold(rows, limits, certainty, score, balanced):
    """The threshold, or None; ``score`` gives the objective by threshold, ``balanced`` is the best of all."""
    risks = risks_of(rows)
    mean = {risk: {t: sum(p.values()) / len(p) for t, p in by_t.items()} for risk, by_t in risks.items()}
    found = {t: 1 - m for t, m in mean["missed"].items() if t > 0}
    most = max(found.values())
    kept = {t for t, share in found.items() if share >= max(most / 2 - 1e-12, 1e-12)}
    for risk, limit in limits.items():
        kept &= kept_thresholds(risks[risk], limit, risk, (1 - certainty) / len(limits))
    if balanced in kept:
        return balanced
    prices = [risk for risk in mean if risk not in limits]
    ranked = sorted(
        kept,
        key=lambda t: (-round(score[t], 12), *(mean[r][t] for r in prices), *(mean[r][t] for r in list(limits)[::-1])),
    )
    return ranked[0] if ranked else None
