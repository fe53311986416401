"""What a scan's cord stack depends on, and the name of its done-marker."""

from collections.abc import Mapping

from cordlesion.config import DRAWN, PreprocessConfig
from cordlesion.io.fingerprints import ResultKind, earlier_fingerprints, fingerprint
from cordlesion.study.finder_fingerprint import finder_fingerprint


def stack_fingerprint(config: PreprocessConfig, hashes: Mapping[str, str], lesion_value: float | None = None) -> str:
    """Return the fingerprint of a scan's stack.

    Args:
        config: How it is cut.
        hashes: SHA-256 of the scan's files, and of the network that finds its centerline, if that is a file.
        lesion_value: The value that marks lesion in the reference, where the study sets one.
    """
    kind, parts = _inputs(config, hashes, lesion_value)
    return fingerprint(kind, *parts)


def earlier_stack_fingerprints(
    config: PreprocessConfig, hashes: Mapping[str, str], lesion_value: float | None = None
) -> list[str]:
    """Return the fingerprints of a scan's stack in earlier versions; arguments as for :func:`stack_fingerprint`."""
    kind, parts = _inputs(config, hashes, lesion_value)
    return earlier_fingerprints(kind, *parts)


def stack_key(scan_id: str) -> str:
    """Return the name of a stack's done-marker."""
    return f"preprocess/{scan_id}"


def _inputs(
    config: PreprocessConfig, hashes: Mapping[str, str], lesion_value: float | None
) -> tuple[ResultKind, list[object]]:
    kinds = ("image", "reference", *([config.guide] if config.guide else []))
    found = finder_fingerprint(config)
    kind: ResultKind = "drawn stack" if config.guide in DRAWN.values() else "stack"
    # A setting that is not used is left out, so that older fingerprints stay as they are.
    parts: list[object] = [found] if found else []
    parts += [] if lesion_value is None else [{"lesion_value": lesion_value}]
    return kind, [config.decisive, {kind: hashes.get(kind) for kind in kinds}, *parts]
