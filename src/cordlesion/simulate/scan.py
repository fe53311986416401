"""One simulated scan with its masks."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

from cordlesion.io.arrays import Array, Mask
from cordlesion.io.volume import Volume
from cordlesion.simulate.acquisition import BORDER, Acquisition, Plane, Region, draw_acquisition
from cordlesion.simulate.anatomy import S_MM, Anatomy, Person, draw_anatomy
from cordlesion.simulate.canal import LAYERS
from cordlesion.simulate.coil import Coil, draw_coil
from cordlesion.simulate.domain import DOMAINS, Domain
from cordlesion.simulate.frame import CordFrame, cord_frame
from cordlesion.simulate.kspace import acquire_slice, sample_stored
from cordlesion.simulate.lesions import draw_lesions, draw_mimics, draw_overlooked
from cordlesion.simulate.randomness import keyed_rng
from cordlesion.simulate.reader import Evidence, read_lesions
from cordlesion.simulate.render import Scene, SliceRenderer
from cordlesion.simulate.rescan import placement, rescan_acquisition
from cordlesion.simulate.settings import LESIONS
from cordlesion.simulate.signals import Signals, draw_signals
from cordlesion.simulate.site import Site, draw_site
from cordlesion.simulate.spindle import Lesion


@dataclass(frozen=True)
class ScanPlan:
    """Identifies a scan of a subject; it determines every voxel."""

    seed: int
    subject: int
    scan: int
    """Index of the scan within the subject."""
    site: int
    person: Person
    session: int
    plane: Plane
    region: Region
    lesion_free: bool
    """Whether the reference is empty."""
    lesion_scans: tuple[tuple[int, Plane, Region], ...]
    """The scans of the subject with lesions (index, plane, region); each shows at least one lesion."""
    domain: Domain = "clinical"
    repeat: int = 0
    """Number of the rescan; 0 for a scan that repeats none."""
    first_scan: int | None = None
    """Of a rescan: index of the scan that it repeats."""
    home_site: int | None = None
    """Of a rescan: the site of the subject's other scans."""


@dataclass(frozen=True, eq=False)
class SimulatedScan:
    """A scan, its masks on the same grid, and the data from which it was simulated."""

    image: Volume
    """Data of type int16."""
    true_lesions: Volume
    """Voxels that are more than half inside a lesion."""
    reference: Volume
    """Mask of the simulated reader."""
    cord: Volume
    centerline: Volume
    """One voxel per axial slice with cord."""
    plan: ScanPlan
    site: Site
    anatomy: Anatomy
    lesions: tuple[Lesion, ...]
    signals: Signals
    acquisition: Acquisition
    evidence: Evidence


def simulate_scan(plan: ScanPlan) -> SimulatedScan:
    """Simulate one scan; equal plans give equal scans."""
    domain = DOMAINS[plan.domain]
    site = draw_site(plan.seed, plan.site)
    anatomy = draw_anatomy(plan.seed, plan.subject, plan.person)
    acquisition = scan_acquisition(plan)
    lesions = subject_lesions(plan, anatomy)
    rng = keyed_rng("signals", plan.seed, plan.subject, plan.scan)
    signals = domain.signals(rng, draw_signals(rng, site.csf, plan.person.age, LESIONS.contrast_scan_log_sd))
    frame = frame_of(anatomy, acquisition)
    scene = Scene(anatomy, frame, (*lesions, *draw_mimics(anatomy, domain.lesions)), signals)
    renderer = SliceRenderer(scene, acquisition)
    coil = draw_coil(keyed_rng("coil", plan.seed, plan.subject, plan.scan), acquisition, frame)
    image, share, excess, cord = _acquire(renderer, coil, plan)
    inside = cord > 0.5
    evidence = Evidence(
        share, excess, inside, image, acquisition.noise, acquisition.spacing_mm, _slice_axis(acquisition)
    )
    reader = keyed_rng("reader", plan.seed, plan.subject, plan.scan)
    reference = read_lesions(evidence, reader, not plan.lesion_free, domain.reader)
    affine, order = _storage(acquisition, site.orientation, *_placement(plan, anatomy, frame, acquisition))

    def volume(data: Array) -> Volume:
        return Volume(np.ascontiguousarray(nib.orientations.apply_orientation(data, order)), affine)

    return SimulatedScan(
        image=volume(np.round(image * acquisition.gain).clip(0, 32767).astype(np.int16)),
        true_lesions=volume(share > 0.5),
        reference=volume(reference),
        cord=volume(inside),
        centerline=volume(_centerline(frame, acquisition, inside)),
        plan=plan,
        site=site,
        anatomy=anatomy,
        lesions=lesions,
        signals=signals,
        acquisition=acquisition,
        evidence=evidence,
    )


def frame_of(anatomy: Anatomy, acquisition: Acquisition) -> CordFrame:
    """Return the curve of the cord in a scan."""
    return cord_frame(anatomy, acquisition.pose, *_half_extent_mm(acquisition))


def in_storage(data: Array, scan: SimulatedScan) -> Array:
    """Return an array of axes right, front, up in the orientation of the stored file."""
    _, order = _storage(scan.acquisition, scan.site.orientation, np.eye(3), np.zeros(3))
    return np.ascontiguousarray(nib.orientations.apply_orientation(data, order))


def second_reader(scan: SimulatedScan, reader: int) -> Volume:
    """Return the mask of another, independent reader of the same scan; ``reader`` counts from 1."""
    rng = keyed_rng("second reader", scan.plan.seed, scan.plan.subject, scan.plan.scan, reader)
    mask = read_lesions(scan.evidence, rng, settings=DOMAINS[scan.plan.domain].reader)
    return Volume(in_storage(mask, scan), scan.image.affine)


def subject_lesions(plan: ScanPlan, anatomy: Anatomy) -> tuple[Lesion, ...]:
    """Return the lesions of the subject at the time of this scan, inside or outside its field of view.

    All scans of a subject with lesions have the same lesions, except lesion-free scans: these are earlier.
    """
    settings = DOMAINS[plan.domain].lesions
    if plan.lesion_free:
        return () if plan.lesion_scans else draw_overlooked(anatomy, settings)
    return draw_lesions(anatomy, [_acquisition(plan, *scan).covered_mm for scan in plan.lesion_scans], settings)


def scan_acquisition(plan: ScanPlan) -> Acquisition:
    """Return the acquisition of a scan, or of a rescan."""
    if plan.first_scan is None:
        return _acquisition(plan, plan.scan, plan.plane, plan.region)
    first = _acquisition(plan, plan.first_scan, plan.plane, plan.region)
    drawn = _acquisition(plan, plan.scan, plan.plane, plan.region, plan.site)
    return rescan_acquisition(first, drawn, plan.site == plan.home_site, plan.seed, plan.subject, plan.scan)


def _placement(plan: ScanPlan, anatomy: Anatomy, frame: CordFrame, acquisition: Acquisition) -> tuple[Array, Array]:
    """Return rotation and shift from the frame of a scan to the scanner, of a rescan to that of the first scan."""
    if plan.first_scan is None:
        return _oblique(acquisition), np.zeros(3)
    first = _acquisition(plan, plan.first_scan, plan.plane, plan.region)
    low, high = acquisition.covered_mm
    rotation, shift = placement(frame_of(anatomy, first), frame, (low <= S_MM) & (high >= S_MM))
    oblique = _oblique(first)
    return oblique @ rotation, oblique @ shift


def _oblique(acquisition: Acquisition) -> Array:
    rotation: Array = Rotation.from_euler("xyz", acquisition.oblique_deg, degrees=True).as_matrix()
    return rotation


def _acquisition(plan: ScanPlan, scan: int, plane: Plane, region: Region, site_index: int | None = None) -> Acquisition:
    """Draw the protocol of a scan of the plan's subject, at its own site by default."""
    home = plan.site if plan.home_site is None else plan.home_site
    site = draw_site(plan.seed, home if site_index is None else site_index)
    clinical = draw_acquisition(plan.seed, plan.subject, scan, site, plane, region)
    return DOMAINS[plan.domain].acquisition(keyed_rng("domain", plan.seed, plan.subject, scan), clinical)


def _half_extent_mm(acquisition: Acquisition) -> tuple[float, float]:
    halves = [n * step / 2 for n, step in zip(acquisition.shape, acquisition.spacing_mm, strict=True)]
    return halves[1], halves[2]


def _slice_axis(acquisition: Acquisition) -> int:
    return 0 if acquisition.plane == "sagittal" else 2


def _acquire(renderer: SliceRenderer, coil: Coil, plan: ScanPlan) -> tuple[Array, Array, Array, Array]:
    """Render and acquire all slices: image, lesion share, lesion excess and cord share; axes right, front, up."""
    acquisition = renderer.acquisition
    rng = keyed_rng("receiver", plan.seed, plan.subject, plan.scan)
    stacks: list[list[Array]] = [[], [], [], []]
    for index, sensitivity in enumerate(coil.sensitivities(renderer.fine)):
        drawn = renderer.render(index)
        shift = rng.normal(0, acquisition.artefacts.motion_mm, 2)
        image = acquire_slice(
            _with_ghosts(drawn, acquisition, renderer.scene.signals.csf) * sensitivity,
            acquisition.drawn_mm,
            acquisition.drawn_matrix,
            acquired_mm=acquisition.acquired_mm,
            filter_sd_mm=acquisition.filter_sd_mm,
            noise=acquisition.noise,
            shift_mm=(float(shift[0]), float(shift[1])),
            rng=rng,
        )
        stacks[0].append(image * np.float32(1 + rng.normal(0, acquisition.artefacts.slice_gain_sd)))
        for stack, name in zip(stacks[1:], ("lesion", "excess", "cord"), strict=True):
            stack.append(sample_stored(drawn[LAYERS.index(name)], acquisition.drawn_matrix))
    axis = _slice_axis(acquisition)
    image, share, excess, cord = (
        np.stack([part[BORDER:-BORDER, BORDER:-BORDER] for part in stack], axis) for stack in stacks
    )
    return image, share, excess, cord


def _with_ghosts(drawn: Array, acquisition: Acquisition, csf: float) -> Array:
    """Add shifted copies: of the pulsating fluid, and of the whole image by breathing and swallowing."""
    artefacts, axis = acquisition.artefacts, acquisition.phase_axis
    signal, fluid = drawn[0], drawn[LAYERS.index("csf")]
    step = max(1, round(artefacts.ghost_shift * signal.shape[axis]))
    copies = np.roll(fluid, step, axis) - np.roll(fluid, -step, axis)
    breath = np.roll(signal, 2 * step, axis) - signal
    ghosts: Array = signal + np.float32(artefacts.ghost * csf) * copies + np.float32(artefacts.breathing) * breath
    return ghosts


def _centerline(frame: CordFrame, acquisition: Acquisition, cord: Mask) -> Mask:
    """Mark the centre of the cord in each axial slice with cord."""
    line = np.zeros(acquisition.shape, dtype=bool)
    _, x, y = frame.at_height(acquisition.axis_mm(2))
    for k in np.flatnonzero(cord.any(axis=(0, 1))):
        line[_nearest(acquisition.axis_mm(0), x[k]), _nearest(acquisition.axis_mm(1), y[k]), k] = True
    return line


def _nearest(axis_mm: Array, value_mm: float) -> int:
    return int(np.abs(axis_mm - value_mm).argmin())


def _storage(acquisition: Acquisition, orientation: str, rotation: Array, shift: Array) -> tuple[Array, Array]:
    """Return the affine of the stored file, and the transform from axes right-front-up to its orientation."""
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(acquisition.spacing_mm)
    affine[:3, 3] = shift - affine[:3, :3] @ ((np.array(acquisition.shape) - 1) / 2)
    codes = nib.orientations.axcodes2ornt(tuple(orientation))
    order = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt(("R", "A", "S")), codes)
    return affine @ nib.orientations.inv_ornt_aff(order, acquisition.shape), order
