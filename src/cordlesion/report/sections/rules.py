"""How far the lesion F1 depends on the lesion rule."""

from collections.abc import Mapping

import pandas as pd

from cordlesion.io.formats import MISSING, format_interval, format_number
from cordlesion.metrics import RULES
from cordlesion.pictures.style import loss_name
from cordlesion.report.losses import mean_over_seeds, several_seeds
from cordlesion.report.pipeline import describe_rule
from cordlesion.report.section import Findings, ReportTable, Section
from cordlesion.report.summary_tables import BY_RULE
from cordlesion.report.table import SEEDS_AVERAGED, Cell, Group, Table
from cordlesion.report.words import enumerate_words
from cordlesion.statistics import format_summary, median_interval, summarize
from cordlesion.study_folder.results import StudyResults, rows_of_learned
from cordlesion.study_folder.runs import lesion_bearing

_SCORES = ("loss", "seed", "scan_id", "subject", "rule", "lesion_f1", "reference_volume_mm3")


def summarize_rules(results: StudyResults) -> pd.DataFrame:
    """Summarise the lesion F1 of every loss under every lesion rule, on the test set at tuned thresholds.

    Runs that learned nothing are left out: where any overlap counts, a mask of everything finds every lesion.

    Returns:
        A row per rule and loss: ``rule loss median mean std n n_undefined low high``; the interval is of the median,
        with subjects as units.
    """
    rows = []
    for rule, scans in _scores(results).groupby("rule", sort=False):
        for summary in summarize(scans, ["loss"], ["lesion_f1"]).to_dict("records"):
            mine = scans[scans["loss"] == summary["loss"]]
            low, high = median_interval(mine["lesion_f1"], mine["subject"])
            rows.append({"rule": rule, **summary, "low": low, "high": high})
    return pd.DataFrame(rows, columns=list(BY_RULE.names))


def _scores(results: StudyResults) -> pd.DataFrame:
    """Return a row per loss, rule and scan with lesions: the mean lesion F1 of the loss's runs that learned."""
    tables = []
    for loss in results.losses_in("rules"):
        rows = rows_of_learned(results, lesion_bearing(results.rows_of_loss("rules", loss, _SCORES)))
        of_rules = rows.groupby("rule", sort=False)
        tables += [mean_over_seeds(one, ["lesion_f1"]).assign(rule=rule) for rule, one in of_rules]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["rule"])


def rules_table(results: StudyResults, rules: pd.DataFrame) -> Table:
    """Lay out the lesion F1 of every loss under every lesion rule, from :func:`summarize_rules`."""
    losses = list(dict.fromkeys(rules["loss"]))
    highest = rules.groupby("rule")["median"].transform("max")
    ties = rules.groupby("rule")["median"].transform("nunique") == 1
    marked = rules.assign(best=(rules["median"] == highest) & ~ties)
    return Table(
        columns=("Rule", *(loss_name(str(loss)) for loss in losses)),
        groups=tuple(
            Group(str(rule), (tuple(_rule_cell(row) for _, row in rows.iterrows()),))
            for rule, rows in marked.groupby("rule", sort=False)
        ),
        lead=(
            f"L-F1 of the same masks (test set, tuned thresholds) under {rules['rule'].nunique()} lesion rules: median "
            "(mean ± standard deviation) over scans, 95 % interval with subjects as units."
        ),
        note=(
            f"{_described(rules)}{SEEDS_AVERAGED if several_seeds(results) else ''} A rule that removes small lesions "
            "leaves out scans whose lesions are all removed."
        ),
        best="highest value of its row" if len(losses) > 1 else "",
    )


def rules_remark(results: StudyResults, rules: pd.DataFrame) -> str:
    """Describe how far the rule alone changes the lesion F1, and whether it changes which loss leads."""
    best = rules[rules["loss"] == results.best.loss].dropna(subset="median")
    if best.empty:
        return ""
    ordered = best.sort_values("median", kind="stable")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    masks = f"The same masks of {loss_name(results.best.loss)} have a median L-F1 of {format_number(low['median'])} by"
    differ = low["median"] < high["median"]
    rest = f"the rule {low['rule']} and of {format_number(high['median'])} by the rule {high['rule']}"
    sentence = f"{masks} {rest if differ else 'every rule'}."
    return f"{sentence} {_leaders(rules)}" if rules["loss"].nunique() > 1 else sentence


def _rule_cell(row: pd.Series) -> Cell:
    if not row["n"]:
        return Cell(MISSING)
    median, _, spread = format_summary(row["median"], row["mean"], row["std"]).partition(" ")
    return Cell(median, spread, format_interval(row["low"], row["high"]), best=bool(row["best"]))


def _described(rules: pd.DataFrame) -> str:
    names = [str(name) for name in dict.fromkeys(rules["rule"]) if name in RULES]
    return " ".join(f"{name}: {describe_rule(name)}." for name in names)


def _leaders(rules: pd.DataFrame) -> str:
    """Name the losses with the highest median under each rule."""
    led: dict[str, list[str]] = {}
    for rule, rows in rules.groupby("rule", sort=False):
        top = rows.loc[rows["median"] == rows["median"].max(), "loss"]
        names = [loss_name(str(loss)) for loss in top] if len(top) < len(rows) else ["no loss alone"]
        led.setdefault(enumerate_words(names), []).append(str(rule))
    if len(led) == 1:
        return f"The highest median is that of {next(iter(led))} by every rule."
    parts = [f"of {losses} by {enumerate_words(names)}" for losses, names in led.items()]
    return f"The highest median is that {'; '.join(parts)}."


def _words(findings: Findings) -> Mapping[str, object]:
    return {"remark": rules_remark(findings.results, findings.frames["rules"])}


SECTION = Section(
    key="rules",
    title="Lesion F1 depends on the rule",
    summarize={"rules": summarize_rules},
    tables=(ReportTable("rules", lambda of: rules_table(of.results, of.frames["rules"])),),
    words=_words,
)
