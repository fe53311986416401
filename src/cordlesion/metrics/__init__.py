"""Agreement of predictions with references: voxels, lesions, subjects (numpy and scipy only)."""

from cordlesion.io.probability import binarize as binarize
from cordlesion.metrics.calibration import LogitCounts as LogitCounts
from cordlesion.metrics.calibration import ReliabilityCounts as ReliabilityCounts
from cordlesion.metrics.calibration import Temperature as Temperature
from cordlesion.metrics.calibration import count_logits as count_logits
from cordlesion.metrics.calibration import count_reliability as count_reliability
from cordlesion.metrics.calibration import fit_temperature as fit_temperature
from cordlesion.metrics.froc import FrocCurve as FrocCurve
from cordlesion.metrics.froc import froc_curve as froc_curve
from cordlesion.metrics.lesion import Components as Components
from cordlesion.metrics.lesion import label_components as label_components
from cordlesion.metrics.rules import RULES as RULES
from cordlesion.metrics.rules import LesionRule as LesionRule
from cordlesion.metrics.rules import resolve_rule as resolve_rule
from cordlesion.metrics.scan import LesionMatches as LesionMatches
from cordlesion.metrics.scan import ScanMetrics as ScanMetrics
from cordlesion.metrics.scan import evaluate as evaluate
from cordlesion.metrics.scan import evaluate_rules as evaluate_rules
from cordlesion.metrics.scan import match_lesions as match_lesions
from cordlesion.metrics.strata import STRATA_MM3 as STRATA_MM3
from cordlesion.metrics.strata import StratumScores as StratumScores
from cordlesion.metrics.strata import stratum_scores as stratum_scores
from cordlesion.metrics.subject import SubjectScores as SubjectScores
from cordlesion.metrics.subject import subject_scores as subject_scores
from cordlesion.metrics.sweep import sweep as sweep
