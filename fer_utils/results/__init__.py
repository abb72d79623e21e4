"""Results of real runs: evidence, the one door to PrivateTest, ensembles, tables, documents.

Statistics are in `fer_utils.evaluation`, analyses of one network's errors in `fer_utils.analysis`.
"""
