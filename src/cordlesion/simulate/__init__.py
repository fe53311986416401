"""Simulated T2-weighted scans of the spinal cord with multiple-sclerosis lesions.

The image is computed from a continuous description of one subject's anatomy (:mod:`.anatomy`, :mod:`.canal`,
:mod:`.surroundings`, :mod:`.lesions`), integrated through thick slices (:mod:`.render`) and acquired in k-space
(:mod:`.kspace`). The reference mask is a simulated reader's (:mod:`.reader`).
"""

from cordlesion.simulate.cohort import simulate_cohort as simulate_cohort
from cordlesion.simulate.plan import SubjectPlan as SubjectPlan
from cordlesion.simulate.plan import plan_cohort as plan_cohort
from cordlesion.simulate.scan import ScanPlan as ScanPlan
from cordlesion.simulate.scan import SimulatedScan as SimulatedScan
from cordlesion.simulate.scan import second_reader as second_reader
from cordlesion.simulate.scan import simulate_scan as simulate_scan
