"""Products of 8-bit integers that are rounded alike on processors and in browsers.

ONNX Runtime has two formulas for QLinearMul. On x86 and ARM it multiplies the product of the
integers by one ratio of scales. In WebAssembly it multiplies real values and divides by the scale
of the result. In float32 the two may round a product near .5 differently. In the released model
this happened in one of 16 crops of a photo, whose probabilities changed by 0.005. All other 8-bit
operations of our networks give the same bits.
"""

from pathlib import Path
from typing import Any

import numpy as np

_LARGEST_STEP = 40
"""Neighbouring float32 numbers on each side of a scale among which another scale is sought."""


def make_portable(file: Path) -> list[str]:
    """Move output scales of an 8-bit ONNX model so that both formulas give the same products.

    A scale moves by a few units in its last place, and only so that processors' own products of
    all pairs of integers stay as they were. A scale for which that is impossible stays.

    Args:
        file: a model of `quantize_static` with uint8 activations in QDQ form; it is replaced if a
            scale moves. A float model has nothing to move.

    Returns:
        The names of the products whose scale moved.
    """
    import onnx

    model = onnx.load(file)
    constants = {constant.name: constant for constant in model.graph.initializer}
    moved = []
    for name, names in _products(model).items():
        values = [onnx.numpy_helper.to_array(constants[each]) for each in names]
        scale = _portable_scale(*values)
        if scale != values[4]:
            replaced = onnx.numpy_helper.from_array(np.array(scale, np.float32), names[4])
            constants[names[4]].CopyFrom(replaced)
            moved.append(name)
    if moved:
        onnx.save(model, file)
    return moved


def products(
    zero_a: int, zero_b: int, scale_a: float, scale_b: float, scale: float, zero: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return all products of two 8-bit integers by the formula of processors and of WebAssembly.

    Args:
        zero_a, zero_b, zero: zero points of the factors and of the product, uint8.
        scale_a, scale_b, scale: scales of the factors and of the product, float32.

    Returns:
        Two arrays float32 (256, 256) of whole numbers from 0 to 255.
    """
    one, other = (np.arange(256, dtype=np.float32) - zero for zero in (zero_a, zero_b))
    a, b, c = (np.float32(each) for each in (scale_a, scale_b, scale))
    native = np.outer(one, other) * (a * b / c)
    generic = np.outer(a * one, b * other) / c
    native, generic = (np.rint(each + np.float32(zero)) for each in (native, generic))
    return np.clip(native, 0, 255), np.clip(generic, 0, 255)


def _products(model) -> dict[str, list[str]]:
    """Return the quantised products and the names of their zero points and scales.

    The order of the names is that of the arguments of `products`.
    """
    makers: dict[str, Any] = {output: node for node in model.graph.node for output in node.output}
    users: dict[str, Any] = {name: node for node in model.graph.node for name in node.input}
    found = {}
    for node in model.graph.node:
        if node.op_type != "Mul":
            continue
        neighbours = (*(makers.get(name) for name in node.input), users.get(node.output[0]))
        around = [each for each in neighbours if each is not None]
        kinds = [each.op_type for each in around]
        if kinds != ["DequantizeLinear", "DequantizeLinear", "QuantizeLinear"]:
            continue
        a, b, c = around
        scales = [a.input[1], b.input[1], c.input[1]]
        found[node.name] = [a.input[2], b.input[2], *scales, c.input[2]]
    return found


def _portable_scale(zero_a, zero_b, scale_a, scale_b, scale, zero) -> np.float32:
    """Return the nearest scale by which both formulas give what processors give with `scale`."""
    before, _ = products(int(zero_a), int(zero_b), scale_a, scale_b, scale, int(zero))
    for step in sorted(range(-_LARGEST_STEP, _LARGEST_STEP + 1), key=abs):
        # Neighbouring positive float32 numbers are neighbouring integers in their bits.
        moved = (np.float32(scale).view(np.int32) + np.int32(step)).view(np.float32)
        after = products(int(zero_a), int(zero_b), scale_a, scale_b, float(moved), int(zero))
        if all(np.array_equal(each, before) for each in after):
            return moved
    return np.float32(scale)
