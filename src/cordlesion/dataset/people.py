"""Whose scan each file is, and what is known of that person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cordlesion.dataset.participants import Participants
from cordlesion.dataset.scan_names import ScanFile
from cordlesion.dataset.subjects import Person, Subjects, read_subjects
from cordlesion.errors import CordlesionError


@dataclass(frozen=True)
class People:
    """The people of a dataset."""

    folder: Path
    """The dataset."""
    subjects: str | None
    """A table or a pattern, as ``patterns.subjects`` names it."""
    participants: Participants
    """Site and scanner of each."""
    unknown: list[str] = field(default_factory=list)
    """Why the subject of a scan is not known, a sentence each."""

    @cached_property
    def _given(self) -> Subjects | None:
        return read_subjects(self.subjects) if self.subjects else None

    def of(self, name: str, image: ScanFile) -> tuple[str, str, str, str]:
        """Return subject, session, site and scanner of a scan; a name without ``sub-`` is a subject of its own.

        Args:
            name: Of the scan.
            image: Its file.
        """
        person = self._person(name, image)
        site, scanner = (self.participants.value(person.subject, person.session, key) for key in ("site", "scanner"))
        return person.subject, person.session, site, scanner

    def remarks(self, images: Mapping[str, ScanFile]) -> list[str]:
        """Return sentences about unknown people, sites and scanners."""
        alone = [name for name, file in images.items() if not (file.entities or self.subjects)]
        people = [self._person(name, file) for name, file in images.items()]
        remarks = self.participants.remarks([(one.subject, one.session) for one in people])
        if alone:
            remarks.append(
                f"{len(alone)} scans count as {len(alone)} subjects, because their names have no `sub-` (first: "
                f"{alone[0]}). If a person has several, intervals are too narrow and the test set is not independent: "
                "name the subjects with `patterns.subjects` (--subjects), a table or a pattern such as '{subject}_*'."
            )
        return remarks

    def _person(self, name: str, image: ScanFile) -> Person:
        if self._given is None or not self.subjects:
            return Person(image.subject if image.entities else name, image.session)
        try:
            return self._given.person(image.path.relative_to(self.folder), name)
        except CordlesionError as error:
            if str(error) not in self.unknown:
                self.unknown.append(str(error))
            return Person(name)
