"""How sure the ranking is: every pair of losses, and how much of a difference is noise between seeds."""

from collections.abc import Mapping

from cordlesion.report.losses import has_one_seed
from cordlesion.report.section import Findings, ReportTable, Section
from cordlesion.report.sections.ranking.comparisons import compare_pairs, summarize_seeds
from cordlesion.report.sections.ranking.ranks import ranks_table, summarize_ranks
from cordlesion.report.sections.ranking.tables import pairs_table, seeds_table


def _words(findings: Findings) -> Mapping[str, object]:
    pairs = findings.frames["pairs"]
    return {
        "one_seed": has_one_seed(findings.results),
        "verdicts": [] if pairs.empty else pairs.loc[pairs["role"] == "primary", "sentence"].tolist(),
    }


SECTION = Section(
    key="differences",
    title="How sure is the ranking?",
    summarize={"ranks": summarize_ranks, "pairs": compare_pairs, "seeds": summarize_seeds},
    tables=(
        ReportTable("ranks", lambda of: ranks_table(of.results, of.frames["ranks"]), title="Ranks"),
        ReportTable("pairs", lambda of: pairs_table(of.results, of.frames["pairs"])),
        ReportTable("seeds", lambda of: seeds_table(of.results, of.frames["seeds"])),
    ),
    words=_words,
    is_shown=lambda tables: bool(tables["pairs"].groups),
)
