"""The Spinal Cord Toolbox (SCT): its networks read as data and run as it runs them, its programs, its quality control."""
