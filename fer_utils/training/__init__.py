"""Training: recipes, augmentation, losses, optimizers, engines, distillation and the run store.

Networks are in `fer_utils.networks`, scores of runs in `fer_utils.evaluation`.
"""
