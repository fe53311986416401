"""The report of a study: tables, figures, words and one HTML page, written from the study folder alone, without torch.

:mod:`cordlesion.report.page` writes it. Each section is one file or folder in :mod:`cordlesion.report.sections`; all
other modules are leaves that sections share. From outside, import :func:`cordlesion.report.page.write_report` and the
descriptions of lesion rules in :mod:`cordlesion.report.pipeline`.
"""
