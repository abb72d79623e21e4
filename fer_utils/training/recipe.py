"""The recipe of a training: every setting except the data and the seed."""

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import ConfigDict, Field, ValidationError, create_model

from fer_utils.emotions import SIDE
from fer_utils.errors import StudyError

FORMER_FIELDS = {
    "mirror": "flip",
    "alternate": "alternating_flip",
    "shift": "translation",
    "views": "tta",
    "whole_batches": "drop_last",
}
"""Names of fields in recipes that were saved before 0.1.0, and their present names."""
FORMER_VALUES = (
    ("name", "seed_cnn", "baseline_cnn"),
    ("network", "seed_cnn", "baseline_cnn"),
    ("tta", "mirror", "flip"),
)
"""Names that are values of such recipes: field, former value, present value."""

# The type of a field is its check. The description is what an error message expects.
Name = Annotated[
    str, Field(pattern=r"^\w[\w.-]*$", description="letters, digits, '_', '-' and '.'")
]
Count = Annotated[int, Field(ge=1, description="a whole number of 1 or more")]
CountOrNone = Annotated[int, Field(ge=0, description="a whole number of 0 or more")]
Side = Annotated[
    int, Field(ge=24, le=SIDE, description=f"a whole number of pixels from 24 to {SIDE}")
]
Positive = Annotated[float, Field(gt=0, description="a number above 0")]
NotNegative = Annotated[float, Field(ge=0, description="a number of 0 or more")]
Share = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")]
Flag = Annotated[bool, Field(description="true or false")]
NameOrNone = Annotated[str, Field(description='a name, or ""')]


@dataclass(frozen=True)
class Recipe:
    """How to train one network.

    Attributes:
        name: the name of its runs and of their evidence.
        network: a name in `networks.NETWORKS`.
        options: options of the network, such as `width`.
        epochs: number of passes over Training.
        batch_size: images per update.
        learning_rate: the rate at the start, or at the end of the warm-up.
        plateau_patience: for the schedule "plateau": after this many epochs without a lower
            PublicTest loss, the learning rate is multiplied by `plateau_factor`. 0 keeps the rate
            constant.
        plateau_factor: see `plateau_patience`.
        minimum_learning_rate: the schedule "plateau" stops lowering the rate here.
        flip: flip each training image horizontally with probability 0.5, drawn in every epoch.
        alternating_flip: draw the flip once, then flip each image in every second epoch
            (alternating flip, Jordan 2024, arXiv 2404.00498). Any two successive epochs show both
            sides of every image.
        initial_weights: name of the run whose weights the training starts from, such as
            "small_resnet-seed2-0123456789ab", or of the run that the released model was exported
            from. A second cosine schedule from a lower rate continues the first (warm restart,
            Loshchilov and Hutter 2017, arXiv 1608.03983). "" draws the weights from the seed.
        keep: "best" selects the weights of the epoch with the highest PublicTest accuracy, "last"
            those of the last epoch.
        optimizer: "adam", "sgd" or "muon". Muon orthogonalises the updates of convolutions and
            dense layers (Jordan et al. 2024, github.com/KellerJordan/Muon). The logits, biases and
            normalisation are left to AdamW, with the same learning rate.
        momentum: momentum of SGD and Muon. It is Nesterov's except with the schedule "tang".
        weight_decay: decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101): each
            update subtracts this share of a kernel, times the learning rate.
        schedule: schedule of the learning rate. "plateau"; "cosine", which falls to 0 over all
            updates; or "tang", the schedule and momentum of the contest's winner, scaled to the
            number of updates.
        warmup: share of all updates in which "cosine" first rises from 0.
        loss: "cross_entropy", or "squared_hinge", the loss of an L2-SVM.
        label_smoothing: share of the target that is spread evenly over all emotions.
        rotation: largest rotation of training images in either direction, degrees.
        zoom: largest change of scale of training images; 0.2 means factors from 0.8 to 1.2.
        translation: largest translation of training images in x and in y, pixels.
        border: value of pixels outside the image: "edge", the nearest pixel, or "zero".
        crop: smallest share of the image's area in a random resized crop (Szegedy et al. 2015,
            arXiv 1409.4842). A rectangle inside the image, with a share from this to 1 and an
            aspect ratio from 3/4 to 4/3, is resized to the whole image, then rotated, scaled and
            translated. 0 turns it off.
        crop_side: side of the square that the network trains on, pixels. A square below 48 pixels
            is cut from the image at full resolution, and `translation` moves its centre.
            Validation and test images are used whole.
        small_epochs: number of first epochs with images that are resized to `small_side`, which
            takes less time (progressive resizing, Tan and Le 2021, arXiv 2104.00298).
        small_side: side of the resized images, pixels, below `crop_side`.
        full_epochs: number of last epochs with whole images, half of `rotation`, `zoom` and
            `translation`, and no `erase`. Training then ends on images like those of the test
            (Touvron et al. 2019, arXiv 1906.06423).
        erase: probability that a rectangle (2 % to 25 % of the image) is filled with the image's
            mean (random erasing, Zhong et al. 2020, arXiv 1708.04896).
        mixup: alpha of mixup, which mixes two images (Zhang et al. 2018, arXiv 1710.09412). 0
            turns it off.
        cutmix: alpha of CutMix, which pastes a part of one image into another (Yun et al. 2019,
            arXiv 1905.04899). 0 turns it off. If mixup is on too, each image gets one of the two,
            each with probability 0.5.
        drop_last: leave out the images that do not fill a batch. They differ between epochs.
        sam: radius rho of sharpness-aware minimisation (Foret et al. 2021, arXiv 2010.01412). 0
            turns it off.
        ema: momentum of an exponential moving average of the weights over all updates (Polyak and
            Juditsky 1992). The averages are then evaluated and saved. 0 turns it off.
        precision: "float32" or "bfloat16". With bfloat16, which is for GPUs, computations use
            bfloat16 and weights float32. The saved model is float32 with either.
        data_parallel: spread each batch over all devices of the machine (JAX only).
        folds: number of random parts of Training. Part `fold` is left out. 0 trains on all images.
        fold: from 1 to `folds`. 0 stands for all folds, with one run each.
        snapshots: number of weights to save, spread evenly over the last sixth of the epochs.
            TTA averages their predictions.
        tta: test-time augmentation of the recipe, a name in `augmentation.TTA`; "" is none.
        teacher: name of the soft labels to learn from, as printed by `fer-study teach`. "" learns
            from the labels only.
        teacher_share: weight of the soft labels; the labels have the rest.
        teacher_views: number of augmented versions of each image that `teacher` predicted. Epoch e
            trains on version (e - 1) mod `teacher_views` and its soft labels (Shen and Xing 2022,
            arXiv 2112.01528). Seeds change the weights and the order of the images, but not the
            versions. 0 stands for soft labels of the images as they are, with augmentation by seed
            and epoch.

    Raises:
        StudyError: a value has the wrong type or is out of range.
    """

    name: Name
    network: str
    options: dict[str, Any] = field(default_factory=dict)
    epochs: Count = 15
    batch_size: Count = 64
    learning_rate: Positive = 5e-4
    plateau_patience: CountOrNone = 2
    plateau_factor: Share = 0.1
    minimum_learning_rate: NotNegative = 1e-5
    flip: Flag = True
    alternating_flip: Flag = False
    initial_weights: NameOrNone = ""
    keep: Literal["best", "last"] = "best"
    optimizer: Literal["adam", "sgd", "muon"] = "adam"
    momentum: ShareBelowOne = 0.9
    weight_decay: NotNegative = 0.0
    schedule: Literal["plateau", "cosine", "tang"] = "plateau"
    warmup: ShareBelowOne = 0.0
    loss: Literal["cross_entropy", "squared_hinge"] = "cross_entropy"
    label_smoothing: ShareBelowOne = 0.0
    rotation: NotNegative = 0.0
    zoom: ShareBelowOne = 0.0
    translation: NotNegative = 0.0
    border: Literal["edge", "zero"] = "edge"
    crop: ShareBelowOne = 0.0
    crop_side: Side = SIDE
    small_epochs: CountOrNone = 0
    small_side: Side = 32
    full_epochs: CountOrNone = 0
    erase: Share = 0.0
    mixup: NotNegative = 0.0
    cutmix: NotNegative = 0.0
    drop_last: Flag = False
    sam: NotNegative = 0.0
    ema: ShareBelowOne = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    data_parallel: Flag = False
    folds: CountOrNone = 0
    fold: CountOrNone = 0
    snapshots: Count = 1
    tta: NameOrNone = ""
    teacher: NameOrNone = ""
    teacher_share: Share = 1.0
    teacher_views: CountOrNone = 0

    def __post_init__(self) -> None:
        self._check_fields()
        self._check_combinations()
        # JSON and YAML have lists where the defaults of networks are tuples.
        options = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.options.items()
        }
        object.__setattr__(self, "options", options)

    def _check_fields(self) -> None:
        try:
            _FIELDS.model_validate(vars(self))
        except ValidationError as problem:
            error = problem.errors()[0]
            name = str(error["loc"][0])
            # Pydantic's own message lists the allowed words of a `Literal`.
            message = error["msg"].removeprefix("Input should be ").replace("'", '"')
            self._refuse(name, _FIELDS.model_fields[name].description or message)

    def _check_combinations(self) -> None:
        tang, hinge = self.schedule == "tang", self.loss == "squared_hinge"
        of_winner = 'for the schedule "tang"'
        of_hinge = "for the squared hinge, which needs one emotion per image"
        of_views = "with views, which are the same images for teachers and students"
        of_weights = "with initial weights, which were trained on every fold"
        of_epochs = "epochs before the full_epochs"
        others = max(self.epochs - self.full_epochs, 0)
        not_small = self.small_epochs and self.small_side >= self.crop_side
        too_many = self.snapshots > 1 and 6 * self.snapshots > self.epochs
        for wrong, name, expected in (
            (self.full_epochs > self.epochs, "full_epochs", f"at most the epochs, {self.epochs}"),
            (self.small_epochs > others, "small_epochs", f"at most {others} {of_epochs}"),
            (not_small, "small_side", f"less than crop_side, {self.crop_side}"),
            (self.alternating_flip and not self.flip, "flip", "true for alternating flips"),
            (self.folds == 1, "folds", "2 or more, or 0"),
            (self.initial_weights and self.folds, "folds", f"0 {of_weights}"),
            (self.fold > self.folds, "fold", f"a whole number from 0 to folds, {self.folds}"),
            (too_many, "snapshots", "no more than a sixth of the epochs"),
            (tang and self.optimizer != "sgd", "optimizer", f'"sgd" {of_winner}'),
            (tang and self.weight_decay, "weight_decay", f"0 {of_winner} (its network has L2)"),
            (hinge and self.label_smoothing, "label_smoothing", f"0 {of_hinge}"),
            (hinge and self.mixup, "mixup", f"0 {of_hinge}"),
            (hinge and self.cutmix, "cutmix", f"0 {of_hinge}"),
            (hinge and self.teacher, "teacher", f'"" {of_hinge}'),
            (self.teacher_views and self.mixup, "mixup", f"0 {of_views}"),
            (self.teacher_views and self.cutmix, "cutmix", f"0 {of_views}"),
            (self.teacher_views and self.full_epochs, "full_epochs", f"0 {of_views}"),
            (self.teacher_views and self.small_epochs, "small_epochs", f"0 {of_views}"),
            (self.teacher_views and self.folds, "folds", f"0 {of_views}"),
        ):
            if wrong:
                self._refuse(name, expected)

    def _refuse(self, name: str, expected: str) -> None:
        found = getattr(self, name)
        raise StudyError(f"recipe {self.name}: {name}: expected {expected}, found {found!r}.")

    def but(self, **changes) -> "Recipe":
        """Change some fields. A name that is no field is an option of the network.

        The network's own module checks its options when a training starts. To check them here
        would import Keras, which takes seconds, with every list of recipes.

        Raises:
            StudyError: a field has the wrong type or is out of range.
        """
        names = {f.name for f in dataclasses.fields(self)} - {"options"}
        fields = {name: value for name, value in changes.items() if name in names}
        options = {name: value for name, value in changes.items() if name not in names}
        return dataclasses.replace(self, options=self.options | options, **fields)

    @property
    def every_fold(self) -> tuple["Recipe", ...]:
        """The recipes to train: one per fold if there are folds and `fold` is 0, else this one."""
        if not self.folds or self.fold:
            return (self,)
        return tuple(self.but(fold=fold) for fold in range(1, self.folds + 1))

    def in_epoch(self, epoch: int) -> "Recipe":
        """The recipe with the augmentation of an epoch, counted from 1.

        Only the first `small_epochs` keep that field, and the last `full_epochs` are lighter.
        """
        if epoch <= self.small_epochs:
            return self
        if self.small_epochs:
            return self.but(small_epochs=0).in_epoch(epoch)
        if epoch <= self.epochs - self.full_epochs:
            return self
        lighter = {name: getattr(self, name) / 2 for name in ("rotation", "zoom", "translation")}
        return self.but(crop_side=SIDE, erase=0.0, **lighter)

    @property
    def training_side(self) -> int:
        """Side of the images that the network trains on, pixels: for recipes of `in_epoch`."""
        return self.small_side if self.small_epochs else self.crop_side

    @property
    def tta_label(self) -> str:
        """The recipe's test-time augmentation and snapshots, as text; "" if it has neither."""
        parts = [self.tta] if self.tta else []
        if self.snapshots > 1:
            parts.append(f"{self.snapshots} snapshots")
        return ", ".join(parts)

    @property
    def kinds(self) -> tuple[bool, ...]:
        """The logits that a run saves: False without TTA, True with TTA if the recipe has one."""
        return (False, True) if self.tta_label else (False,)

    @property
    def in_effect(self) -> dict:
        """The fields and options that have an effect, as plain values.

        Left out are values that turn something off, and settings of a part that is not used.
        """
        unused = {
            "momentum": self.optimizer == "adam",
            "plateau_patience": self.schedule != "plateau",
            "plateau_factor": self.schedule != "plateau",
            "minimum_learning_rate": self.schedule != "plateau",
            "teacher_share": not self.teacher,
            "snapshots": self.snapshots == 1,
            "crop_side": self.crop_side == SIDE,
            "small_side": not self.small_epochs,
        }
        values = {name: value for name, value in self.to_dict().items() if not unused.get(name)}
        values["options"] = {name: value for name, value in self.options.items() if value}
        return {name: value for name, value in values.items() if value}

    def label(self, seed: int) -> str:
        """The name of a run: recipe, fold if it has one, and seed."""
        fold = f"-fold{self.fold}" if self.fold else ""
        return f"{self.name}{fold}-seed{seed}"

    def to_dict(self) -> dict:
        """The recipe as plain values, for JSON."""
        return dataclasses.asdict(self)


# This model only checks. The values of a pydantic dataclass would change the fingerprints of runs:
# 45 would become 45.0.
_types: dict[str, Any] = {
    name: (kind, ...) for name, kind in get_type_hints(Recipe, include_extras=True).items()
}
_FIELDS = create_model("Recipe", __config__=ConfigDict(strict=True, allow_inf_nan=False), **_types)


def at_budget(recipe: Recipe, *, epochs: int = 0, batch_size: int = 0, **options) -> Recipe:
    """A recipe with another budget. 0 keeps the recipe's own epochs or batch size.

    Left out are options that its network does not have, and options that change nothing. With the
    latter the run store would train the same recipe again.
    """
    from fer_utils.networks import options_of

    present = options_of(recipe.network) | recipe.options
    changes = {
        name: value for name, value in options.items() if name in present and value != present[name]
    }
    if epochs:
        changes["epochs"] = epochs
    if batch_size:
        changes["batch_size"] = batch_size
    return recipe.but(**changes)


def recipe_from_dict(values: dict) -> Recipe:
    """Read a recipe that `Recipe.to_dict` wrote, with present or former names.

    Raises:
        StudyError: a field is unknown (the message lists the known ones) or out of range.
    """
    values = {FORMER_FIELDS.get(name, name): value for name, value in values.items()}
    fields = [f.name for f in dataclasses.fields(Recipe)]
    if unknown := sorted(set(values) - set(fields)):
        raise StudyError(
            f"recipe: expected the fields {', '.join(fields)}, found {', '.join(unknown)}."
        )
    for name, former, present in FORMER_VALUES:
        if values.get(name) == former:
            values[name] = present
    return Recipe(**values)
