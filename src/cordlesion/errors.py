"""The exceptions whose text is shown to the user without a traceback."""


class CordlesionError(Exception):
    """A mistake the user can mend: one sentence that names the file, what was found, what is needed and what to do.

    Examples:
        >>> import cordlesion
        >>> try:
        ...     cordlesion.read_scan("absent.nii.gz")
        ... except cordlesion.CordlesionError as error:
        ...     print(error)
        absent.nii.gz: no such file. Check the name; a NIfTI file (.nii or .nii.gz) is needed.
    """


class PartialSearchWarning(UserWarning):
    """The cord was lost inside a scan: the result is of a part of it only; ``Segmentation.coverage`` says which.

    Examples:
        >>> import warnings
        >>> import cordlesion
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", cordlesion.PartialSearchWarning)  # an incomplete search is an error
        ...     result = cordlesion.segment("scan.nii.gz", "bundle", centerline="centerline.nii.gz")
    """


class RunError(CordlesionError):
    """A fault of the whole run and of no single scan: it ends the run at once, and no scan is left out for it.

    The folder of results cannot be written, say, or a file was replaced while the run was under way.
    """
