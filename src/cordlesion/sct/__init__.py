"""The Spinal Cord Toolbox (SCT): its networks, read as data and run as SCT runs them, its programs, its QC reports."""
