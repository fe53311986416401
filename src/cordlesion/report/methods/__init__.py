"""The methods section of a paper, written from a study's configuration, with its references."""

from cordlesion.report.methods.section import Methods as Methods
from cordlesion.report.methods.section import write_methods as write_methods
