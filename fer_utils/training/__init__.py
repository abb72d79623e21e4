"""Everything that turns a recipe and faces into a run: recipes, augmentation, losses, engines, the run store.

Networks are built in `fer_utils.networks`; what a run is worth is computed in `fer_utils.evaluation`.
"""
