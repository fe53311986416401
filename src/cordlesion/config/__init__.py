"""A study as data: frozen models, YAML in, errors with file:line:column out."""

from cordlesion.config.comparators import ComparatorConfig as ComparatorConfig
from cordlesion.config.comparators import ComparatorKind as ComparatorKind
from cordlesion.config.comparators import ComparatorRun as ComparatorRun
from cordlesion.config.files import builtin_study as builtin_study
from cordlesion.config.files import read_study as read_study
from cordlesion.config.files import study_yaml as study_yaml
from cordlesion.config.sections import SETS as SETS
from cordlesion.config.sections import Blending as Blending
from cordlesion.config.sections import CenterlineSource as CenterlineSource
from cordlesion.config.sections import EvaluationConfig as EvaluationConfig
from cordlesion.config.sections import FilePatterns as FilePatterns
from cordlesion.config.sections import LoggerName as LoggerName
from cordlesion.config.sections import LossConfig as LossConfig
from cordlesion.config.sections import NetworkConfig as NetworkConfig
from cordlesion.config.sections import PatchConfig as PatchConfig
from cordlesion.config.sections import PostprocessConfig as PostprocessConfig
from cordlesion.config.sections import PredictionConfig as PredictionConfig
from cordlesion.config.sections import PreprocessConfig as PreprocessConfig
from cordlesion.config.sections import ReducedConfig as ReducedConfig
from cordlesion.config.sections import SetName as SetName
from cordlesion.config.sections import SplitConfig as SplitConfig
from cordlesion.config.sections import ThresholdConfig as ThresholdConfig
from cordlesion.config.sections import TrainingConfig as TrainingConfig
from cordlesion.config.study import Method as Method
from cordlesion.config.study import RunConfig as RunConfig
from cordlesion.config.study import StudyConfig as StudyConfig
