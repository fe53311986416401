"""Where the work of a study happens: threads and processes of this machine, or jobs of SLURM. Never imports torch.

Used by study, maps, report and explorer: ``local`` (work on scans), ``outcome`` (what came of it), ``executors``.
"""
