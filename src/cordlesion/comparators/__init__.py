"""Methods that are not trained here: their files are matched to scans, checked, and brought into the study folder."""
