"""The smallest parameters of every stage, for tests that run the notebooks."""

BUDGET = {
    "explore": {"examples_per_emotion": 3},
    "replicate": {"widths": [0.06] * 4, "epochs": 1, "batch_size": 128},
    "tune": {
        "trials": 2,
        "epochs": 1,
        "untuned_width": 0.06,
        "width": [0.03, 0.06],
        "compare_random": False,
    },
    "final_model": {
        **{"epochs": 1, "ablation_names": ["mirroring"], "ablation_epochs": 1},
        **{"student_epochs": 1, "student_width": 0.06},
    },
    "analyse_errors": {"confident_shown": 6, "corrupted_images": 20, "explained_images": 2},
    "serve": {"timed_requests": 3, "show_page": False},
}
