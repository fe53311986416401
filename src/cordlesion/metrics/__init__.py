"""Agreement of predictions with references: voxels, lesions, subjects (numpy and scipy only)."""

from cordlesion.metrics.lesion import RULES as RULES
from cordlesion.metrics.lesion import Components as Components
from cordlesion.metrics.lesion import LesionRule as LesionRule
from cordlesion.metrics.lesion import label_components as label_components
from cordlesion.metrics.lesion import resolve_rule as resolve_rule
from cordlesion.metrics.subject import SubjectScores as SubjectScores
from cordlesion.metrics.subject import subject_scores as subject_scores
from cordlesion.metrics.sweep import ScanMetrics as ScanMetrics
from cordlesion.metrics.sweep import evaluate as evaluate
from cordlesion.metrics.sweep import sweep as sweep
from cordlesion.metrics.voxel import binarize as binarize
