"""Simulated T2-weighted scans of the spinal cord with multiple-sclerosis lesions.

A scan is computed in three steps: a continuous description of the anatomy of a subject (:mod:`.anatomy`, :mod:`.canal`,
:mod:`.surroundings`, :mod:`.lesions`), integration through thick slices (:mod:`.render`), and acquisition in k-space
(:mod:`.kspace`). A simulated reader (:mod:`.reader`) draws the reference mask.
"""

from cordlesion.simulate.cohort import simulate_cohort as simulate_cohort
from cordlesion.simulate.plan import SubjectPlan as SubjectPlan
from cordlesion.simulate.plan import plan_cohort as plan_cohort
from cordlesion.simulate.plan import plan_rescans as plan_rescans
from cordlesion.simulate.scan import ScanPlan as ScanPlan
from cordlesion.simulate.scan import SimulatedScan as SimulatedScan
from cordlesion.simulate.scan import second_reader as second_reader
from cordlesion.simulate.scan import simulate_scan as simulate_scan
