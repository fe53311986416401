"""Summaries, paired tests, correction for multiple tests, confidence intervals, and variance between seeds."""

from cordlesion.statistics.comparison import Family as Family
from cordlesion.statistics.comparison import LossComparison as LossComparison
from cordlesion.statistics.comparison import Role as Role
from cordlesion.statistics.comparison import Verdict as Verdict
from cordlesion.statistics.crossed import CrossedTest as CrossedTest
from cordlesion.statistics.crossed import SeedNoise as SeedNoise
from cordlesion.statistics.crossed import crossed_test as crossed_test
from cordlesion.statistics.crossed import estimate_seed_noise as estimate_seed_noise
from cordlesion.statistics.intervals import MIN_SUBJECTS as MIN_SUBJECTS
from cordlesion.statistics.intervals import median_interval as median_interval
from cordlesion.statistics.paired import MIN_PAIRS as MIN_PAIRS
from cordlesion.statistics.paired import PairedTest as PairedTest
from cordlesion.statistics.paired import holm as holm
from cordlesion.statistics.paired import sign_flips as sign_flips
from cordlesion.statistics.paired import wilcoxon as wilcoxon
from cordlesion.statistics.rates import change_of_ratios as change_of_ratios
from cordlesion.statistics.rates import change_of_shares as change_of_shares
from cordlesion.statistics.rates import rate_interval as rate_interval
from cordlesion.statistics.rates import share_interval as share_interval
from cordlesion.statistics.seeds import VarianceComponents as VarianceComponents
from cordlesion.statistics.seeds import decompose_variance as decompose_variance
from cordlesion.statistics.seeds import spread_over_seeds as spread_over_seeds
from cordlesion.statistics.summary import format_summary as format_summary
from cordlesion.statistics.summary import summarize as summarize
from cordlesion.statistics.verdict import compare_losses as compare_losses
