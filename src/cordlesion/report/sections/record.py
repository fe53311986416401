"""Where every number comes from: configuration and manifest."""

import json
from collections.abc import Mapping
from pathlib import Path

from cordlesion.config import NETWORK
from cordlesion.io.outputs import portable_path
from cordlesion.report.section import Findings, Section
from cordlesion.study_folder.manifest import manifest_to_show
from cordlesion.study_folder.results import StudyResults


def _words(findings: Findings) -> Mapping[str, object]:
    results = findings.results
    manifest = manifest_to_show(results.folder.manifest, results.config.dataset)
    return {
        "configuration": _portable_configuration(results),
        "manifest": json.dumps(manifest, indent=2, ensure_ascii=False),
    }


def _portable_configuration(results: StudyResults) -> str:
    """Return the configuration as it is, except for paths on this machine, which are of no use to others."""
    text, config = results.configuration, results.config
    places = [config.dataset, config.output, *(one.path for one in config.comparators)]
    if config.preprocess.guide == NETWORK:
        places.append(Path(config.preprocess.centerline))
    for place in sorted(map(str, places), key=len, reverse=True):
        text = text.replace(place, portable_path(Path(place), results.folder.root))
    return text


SECTION = Section(key="record", title="Record", words=_words)
