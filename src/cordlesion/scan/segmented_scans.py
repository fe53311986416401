"""What came of several scans: those that could not be segmented, and those that were searched in part."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class SegmentedScans(Mapping[str, str]):
    """A mapping of the scans that could not be segmented to the reasons; and the scans that were searched in part."""

    excluded: Mapping[str, str]
    """The scans without a result, each with the reason."""
    partial: Mapping[str, str]
    """The scans with a result in which the cord was lost at an end, each with a sentence that says where."""

    def __getitem__(self, name: str) -> str:
        return self.excluded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.excluded)

    def __len__(self) -> int:
        return len(self.excluded)
