"""Writes the explorer to a folder, which a browser can open without a server."""

from pathlib import Path

from cordlesion.errors import CordlesionError
from cordlesion.execution.local import stream_scans
from cordlesion.explorer.site import INDEX, Site
from cordlesion.io.writing import atomic_path
from cordlesion.study_folder.folder import StudyFolder

FOLDER = "explorer"
"""Name of the folder in the study folder."""


def export_explorer(study_folder: Path) -> Path:
    """Write the explorer of a finished study into its folder, so that a browser can open it as a file.

    Files of an earlier export that are no longer needed are removed. The folder contains images, so it needs the same
    protection as the scans.

    Args:
        study_folder: Folder of the study.

    Returns:
        Path of the page.

    Raises:
        CordlesionError: An artifact is missing or damaged, or the folder cannot be written.
    """
    site, study = Site(study_folder), StudyFolder(Path(study_folder))
    folder = study.root / FOLDER
    for place in (folder, folder / "data"):
        if place.is_symlink():
            raise CordlesionError(f"{place}: is a link; it must be a folder in the study folder. Remove the link.")
    with study.listed(FOLDER) as forget_others:
        study.remove([folder / INDEX])
        _write(site, folder)
        forget_others()
    return folder / INDEX


def _write(site: Site, folder: Path) -> None:
    def write(names: list[str]) -> None:
        for name in names:
            content = site.read(name)
            assert content is not None
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(content)

    for _ in stream_scans(write, site.files_by_scan(), "write explorer"):
        pass
    write(site.common_files())  # the page last, because it needs all other files
