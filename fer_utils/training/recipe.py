"""A recipe: all that decides how a network is trained, but for the data and the seed."""

import dataclasses
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real

from fer_utils.emotions import SIDE
from fer_utils.errors import StudyError


@dataclass(frozen=True)
class Recipe:
    """How to train one network.

    Attributes:
        name: what runs and evidence are called after.
        network: a name in `architectures.NETWORKS`.
        options: the network's options, such as `width`.
        epochs: passes over Training.
        batch_size: images an update.
        learning_rate: at the start, or at the end of the warm-up.
        plateau_patience: epochs without a lower PublicTest loss after which the learning rate is multiplied
            by `plateau_factor`; 0 keeps it constant. For the schedule "plateau".
        plateau_factor: see there.
        minimum_learning_rate: the learning rate falls no lower on a plateau.
        flip: flip each training image left to right with probability 0.5, anew each epoch.
        alternating_flip: draw that once, and from then on flip each image in every second epoch (alternating flip, Jordan
            2024, arXiv 2404.00498). Two epochs then show both sides of every image.
        keep: "best" keeps the weights of the epoch with the highest PublicTest accuracy, "last" the last.
        optimizer: "adam" or "sgd".
        momentum: of SGD, which is Nesterov's unless the schedule is "tang".
        weight_decay: share of each kernel taken off at each update, times the learning rate (decoupled; Loshchilov
            and Hutter 2019, arXiv 1711.05101).
        schedule: of the learning rate: "plateau"; "cosine", to 0 over all updates; or "tang", which is that of the
            contest's winner, scaled to the number of updates, with its momentum.
        warmup: share of all updates in which "cosine" first climbs from 0.
        loss: "cross_entropy", or "squared_hinge", which is an L2-SVM's.
        label_smoothing: share of the target spread evenly over all emotions.
        rotation: training images are turned by up to this many degrees either way.
        zoom: and scaled by up to this factor more or less: 0.2 is 0.8 to 1.2.
        translation: and shifted by up to this many pixels in x and in y.
        border: what then lies outside: "edge", the nearest pixel, or "zero".
        crop: least share of the image's area in a random resized crop (Szegedy et al. 2015, arXiv 1409.4842): a
            rectangle inside the image, of a share from this up to 1 and an aspect from 3/4 to 4/3, is shown as the
            whole image, which is then turned, scaled and shifted; 0 is none.
        crop_side: side of the square that the network trains on, pixels. Below 48 it is cut from the image where
            `shift` puts its middle, at full resolution; validation and test images are shown whole.
        full_epochs: the last epochs, which train on whole images, with half of `rotation`, `zoom` and `shift` and
            without `erase`, so that training ends on what the network is tested on (Touvron et al. 2019, arXiv
            1906.06423).
        erase: probability that a rectangle (2 % to 25 % of the image) is filled with the image's mean (random erasing,
            Zhong et al. 2020, arXiv 1708.04896).
        mixup: alpha of the mixing of two images (Zhang et al. 2018, arXiv 1710.09412); 0 is none.
        cutmix: alpha of the pasting of one image into another (Yun et al. 2019, arXiv 1905.04899); 0 is none. With
            both, each image has one of them, by a coin.
        drop_last: leave out the images that fill no batch, others in each epoch.
        sam: radius rho of sharpness-aware minimisation (Foret et al. 2021, arXiv 2010.01412); 0 is none.
        ema: the weights judged and kept are an exponential moving average over all updates, with this momentum (Polyak
            and Juditsky 1992); 0 keeps the weights themselves.
        precision: "float32", or "bfloat16", which computes in it and keeps weights in float32, for GPUs. The finished
            model is float32 either way.
        data_parallel: spread each batch over all devices of the machine (JAX only).
        folds: cut Training into so many parts at random, and leave part `fold` out; 0 trains on all of it.
        fold: from 1 to `folds`; 0 stands for each of them in turn, one run each.
        snapshots: weights kept, spread evenly over the last sixth of the epochs, for averaging.
        tta: test-time averaging that belongs to the recipe, a name in `augmentation.VIEWS`; "" is none.
        teacher: soft labels to learn from, as `fer-study teach` names them; "" learns from the labels alone.
        teacher_share: weight of the soft labels; the rest is the labels'.

    Raises:
        StudyError: a value is of the wrong type or out of range.
    """

    name: str
    network: str
    options: dict = field(default_factory=dict)
    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 5e-4
    plateau_patience: int = 2
    plateau_factor: float = 0.1
    minimum_learning_rate: float = 1e-5
    flip: bool = True
    alternating_flip: bool = False
    keep: str = "best"
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "plateau"
    warmup: float = 0.0
    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    translation: float = 0.0
    border: str = "edge"
    crop: float = 0.0
    crop_side: int = SIDE
    full_epochs: int = 0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    drop_last: bool = False
    sam: float = 0.0
    ema: float = 0.0
    precision: str = "float32"
    data_parallel: bool = False
    folds: int = 0
    fold: int = 0
    snapshots: int = 1
    tta: str = ""
    teacher: str = ""
    teacher_share: float = 1.0

    def __post_init__(self) -> None:
        def expect(
            name: str, expected: str, kind: type, fits: Callable[..., object] = lambda value: True
        ) -> None:
            value = getattr(self, name)
            # True and False are whole numbers to Python.
            if (
                not isinstance(value, kind)
                or (kind is not bool and isinstance(value, bool))
                or not fits(value)
            ):
                raise StudyError(
                    f"recipe {self.name}: {name}: expected {expected}, found {value!r}."
                )

        expect("name", "letters, digits, '_', '-' and '.'", str, re.compile(r"\w[\w.-]*").fullmatch)
        expect("options", "names with values", dict)
        # JSON and YAML have lists where Python's keyword defaults are tuples.
        plain = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.options.items()
        }
        object.__setattr__(self, "options", plain)
        for names, least in (
            ("epochs batch_size snapshots", 1),
            ("plateau_patience folds fold full_epochs", 0),
        ):
            for name in names.split():
                expect(
                    name,
                    f"a whole number of {least} or more",
                    int,
                    lambda value, least=least: value >= least,
                )
        expect("learning_rate", "a number above 0", Real, lambda value: 0 < value < math.inf)
        expect("plateau_factor", "a number from 0 to 1", Real, lambda value: 0 <= value <= 1)
        expect(
            "minimum_learning_rate",
            "a number of 0 or more",
            Real,
            lambda value: 0 <= value < math.inf,
        )
        for name in ("weight_decay", "rotation", "translation", "mixup", "cutmix", "sam"):
            expect(name, "a number of 0 or more", Real, lambda value: 0 <= value < math.inf)
        for name in ("momentum", "warmup", "label_smoothing", "zoom", "crop", "ema"):
            expect(name, "a number from 0 to below 1", Real, lambda value: 0 <= value < 1)
        for name in ("erase", "teacher_share"):
            expect(name, "a number from 0 to 1", Real, lambda value: 0 <= value <= 1)
        for name in ("flip", "alternating_flip", "drop_last", "data_parallel"):
            expect(name, "true or false", bool)
        for name, *words in (
            ("keep", "best", "last"),
            ("optimizer", "adam", "sgd"),
            ("schedule", "plateau", "cosine", "tang"),
            ("loss", "cross_entropy", "squared_hinge"),
            ("border", "edge", "zero"),
            ("precision", "float32", "bfloat16"),
        ):
            expect(name, " or ".join(f'"{word}"' for word in words), str, words.__contains__)
        for name in ("tta", "teacher"):
            expect(name, 'a name, or ""', str)
        expect(
            "crop_side",
            f"a whole number of pixels from 24 to {SIDE}",
            int,
            lambda value: 24 <= value <= SIDE,
        )
        expect(
            "full_epochs",
            f"at most the epochs, {self.epochs}",
            int,
            lambda value: value <= self.epochs,
        )
        if self.alternating_flip:
            expect("flip", "true where flips alternate", bool, bool)
        expect("folds", "2 or more, or 0", int, lambda value: value != 1)
        expect(
            "fold",
            f"a whole number from 0 to folds, {self.folds}",
            int,
            lambda value: value <= self.folds,
        )
        if self.snapshots > 1:
            expect(
                "snapshots",
                "no more than a sixth of the epochs",
                int,
                lambda value: 6 * value <= self.epochs,
            )
        if self.schedule == "tang":
            expect("optimizer", '"sgd" for the schedule "tang"', str, "sgd".__eq__)
            expect(
                "weight_decay",
                '0 for the schedule "tang" (the network has its own)',
                Real,
                lambda value: not value,
            )
        if self.loss == "squared_hinge":
            for name in ("label_smoothing", "mixup", "cutmix"):
                expect(
                    name,
                    "0 for the squared hinge, which wants one emotion an image",
                    Real,
                    lambda value: not value,
                )
            expect(
                "teacher",
                '"" for the squared hinge, which wants one emotion an image',
                str,
                lambda value: not value,
            )

    def but(self, **changes) -> "Recipe":
        """This recipe with some fields changed; a name that is no field is an option of the network.

        Raises:
            StudyError: a value is out of range. (Unknown options are refused when the network is built.)
        """
        fields = {f.name for f in dataclasses.fields(self)} - {"options"}
        options = {**self.options, **{k: v for k, v in changes.items() if k not in fields}}
        return dataclasses.replace(
            self, options=options, **{k: v for k, v in changes.items() if k in fields}
        )

    @property
    def every_fold(self) -> tuple["Recipe", ...]:
        """The recipes to train: one for each fold where `folds` is set and `fold` is not, otherwise this one."""
        if not self.folds or self.fold:
            return (self,)
        return tuple(self.but(fold=fold) for fold in range(1, self.folds + 1))

    def in_epoch(self, epoch: int) -> "Recipe":
        """The recipe as its augmentation is in an epoch, from 1: lighter in the last `full_epochs`."""
        if epoch <= self.epochs - self.full_epochs:
            return self
        lighter = {name: getattr(self, name) / 2 for name in ("rotation", "zoom", "translation")}
        return self.but(crop_side=SIDE, erase=0.0, **lighter)

    @property
    def tta_label(self) -> str:
        """What its answers can be averaged over, views and snapshots, in words; "" where there is nothing."""
        return ", ".join(
            filter(None, (self.tta, f"{self.snapshots} snapshots" if self.snapshots > 1 else ""))
        )

    @property
    def kinds(self) -> tuple[bool, ...]:
        """Which logits its runs keep: plain ones (False), and averaged ones (True) where it averages."""
        return (False, True) if self.tta_label else (False,)

    @property
    def in_effect(self) -> dict:
        """The fields and the network's options that have an effect, as plain values: what is off is left out, and what
        only something else would ask for."""
        unasked = {
            "momentum": self.optimizer != "sgd",
            "plateau_patience": self.schedule != "plateau",
            "plateau_factor": self.schedule != "plateau",
            "minimum_learning_rate": self.schedule != "plateau",
            "teacher_share": not self.teacher,
            "snapshots": self.snapshots == 1,
            "crop_side": self.crop_side == SIDE,
        }
        values = {name: value for name, value in self.to_dict().items() if not unasked.get(name)}
        values["options"] = {name: value for name, value in self.options.items() if value}
        return {name: value for name, value in values.items() if value}

    def label(self, seed: int) -> str:
        """What a run is called: recipe, fold if it has one, and seed."""
        return f"{self.name}{f'-fold{self.fold}' if self.fold else ''}-seed{seed}"

    def to_dict(self) -> dict:
        """The recipe as plain values, for JSON."""
        return dataclasses.asdict(self)


def at_budget(recipe: Recipe, *, epochs: int = 0, batch_size: int = 0, **options) -> Recipe:
    """A recipe at another budget: 0 leaves the recipe's own.

    Options that its network does not have are left out, and those that say what holds anyway: with them it would be
    another recipe to the run store, and trained once more.
    """
    from fer_utils.networks import options_of

    given = {"epochs": epochs, "batch_size": batch_size}
    known = options_of(recipe.network) | recipe.options
    changes = {name: value for name, value in given.items() if value}
    return recipe.but(
        **changes,
        **{
            name: value for name, value in options.items() if name in known and value != known[name]
        },
    )


def recipe_from_dict(values: dict) -> Recipe:
    """The recipe that `Recipe.to_dict` wrote. Raises StudyError for an unknown field, listing the known ones."""
    fields = [f.name for f in dataclasses.fields(Recipe)]
    if unknown := sorted(set(values) - set(fields)):
        raise StudyError(
            f"recipe: unknown field {', '.join(unknown)}; known are {', '.join(fields)}."
        )
    return Recipe(**values)
