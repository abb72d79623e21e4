"""Random people: proportions, skin, hair and glasses of a drawn face."""

import numpy as np

SHORT, PARTED, LONG, BOB, CURLS, BALD = range(6)


def random_person(rng: np.random.Generator) -> dict[str, float]:
    """A random person: proportions near 1, offsets near 0, tones 0 to 255, numbered styles."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * rng.random()

    def chance(share: float) -> bool:
        return bool(rng.random() < share)

    skin = between(105, 225)
    fair = (skin - 105) / 120
    grey_haired = chance(0.12)
    hair = between(150, 205) if grey_haired else between(22, 50 + 95 * fair)
    hairstyle = int(rng.choice(6, p=np.array([3, 3, 3, 2, 2, 1]) / 14))
    bearded = chance(0.3) and hairstyle not in (LONG, BOB)
    return {
        "skin": skin,
        "hair": hair,
        "brow_tone": min(hair, skin * between(0.3, 0.5)) if not grey_haired else skin * 0.55,
        "iris": between(25, 60 + 50 * fair),
        "width": between(1.0, 1.14),
        "height": between(0.94, 1.05),
        "jaw": between(0.92, 1.2),
        "eye_gap": between(0.93, 1.08),
        "eye_size": between(0.9, 1.16),
        "eye_open": between(0.85, 1.2),
        "eye_tilt": between(-0.02, 0.025),
        "brow_thick": between(0.7, 1.35),
        "brow_arch": between(0.6, 1.4),
        "brow_height": between(-0.025, 0.025),
        "nose_width": between(0.85, 1.25),
        "nose_length": between(0.9, 1.1),
        "lips": between(0.75, 1.35),
        "mouth_width": between(0.9, 1.1),
        "mouth_rest": between(-0.018, 0.018),
        "lip_tone": between(0.58, 0.76),
        "age": between(0, 1) ** 1.5,
        "gaze_x": between(-0.014, 0.014),
        "gaze_y": between(-0.01, 0.012),
        "hairstyle": hairstyle,
        "hairline": between(-0.06, 0.08),
        "beard": between(0.35, 0.9) if bearded else 0.0,
        "moustache": between(0.4, 0.95) if bearded or chance(0.04) else 0.0,
        "glasses": int(1 + rng.integers(3)) if chance(0.14) else 0,
        "ground": between(25, 225),
        "clothes": between(20, 230),
    }
