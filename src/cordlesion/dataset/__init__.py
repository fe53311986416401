"""The scans of a BIDS dataset: their files, names, acquisition, and the split into sets."""
