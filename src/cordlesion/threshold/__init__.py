"""The decision threshold: chosen on the threshold set, with its interval and its stability (numpy and pandas only)."""

from cordlesion.threshold.choice import ThresholdChoice as ThresholdChoice
from cordlesion.threshold.choice import choose_threshold as choose_threshold
from cordlesion.threshold.grid import FINE_THRESHOLDS as FINE_THRESHOLDS
from cordlesion.threshold.grid import GRIDS as GRIDS
from cordlesion.threshold.grid import SETTINGS as SETTINGS
from cordlesion.threshold.grid import THRESHOLDS as THRESHOLDS
from cordlesion.threshold.grid import VOLUME as VOLUME
from cordlesion.threshold.maps import describe_cut as describe_cut
from cordlesion.threshold.maps import describe_maps as describe_maps
from cordlesion.threshold.maps import find_cut as find_cut
from cordlesion.threshold.objective import OBJECTIVES as OBJECTIVES
from cordlesion.threshold.objective import Objective as Objective
from cordlesion.threshold.objective import parse_objective as parse_objective
from cordlesion.threshold.rules import THRESHOLD_RULES as THRESHOLD_RULES
from cordlesion.threshold.rules import GlobalThreshold as GlobalThreshold
from cordlesion.threshold.rules import ThresholdRule as ThresholdRule
from cordlesion.threshold.scans import ThresholdScans as ThresholdScans
from cordlesion.threshold.scans import arrange_scans as arrange_scans
from cordlesion.threshold.selection import SelectedScore as SelectedScore
from cordlesion.threshold.selection import correct_selection as correct_selection
from cordlesion.threshold.selection import score_interval as score_interval
from cordlesion.threshold.selection import weigh_runs as weigh_runs
from cordlesion.threshold.stability import Stability as Stability
from cordlesion.threshold.sweeps import sweep_maps as sweep_maps
