"""Methods that are not trained here: their files are matched to scans, checked, and imported into the study folder.

Used by the stages of a study only.
"""
