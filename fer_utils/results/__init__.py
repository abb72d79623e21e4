"""What real runs have shown: committed evidence, the one door to PrivateTest, ensembles, tables, published figures.

Statistics are in `fer_utils.evaluation`; a closer look at one network's mistakes is in `fer_utils.analysis`.
"""
