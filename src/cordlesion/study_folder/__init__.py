"""What a study leaves on disk: paths, done-markers, tables, results, BIDS derivatives. Never imports torch.

Read by the stages, the report and the explorer; knows nothing of how results are made.
"""
