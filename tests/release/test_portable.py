"""Products of 8-bit integers: browsers and processors round them alike."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fer_utils.paths import MODEL, RELEASED
from fer_utils.recognition.recognizer import open_model
from fer_utils.release.portable import make_portable, products

# The scales of a product of the released model before it was made portable.
PLANTED = (0, 0, 0.9995117, 0.00015185382, 0.03795606, 0)


@pytest.fixture
def product(tmp_path):
    """An 8-bit model that multiplies two real numbers, with scales that round differently."""
    file = tmp_path / "product.onnx"
    zero_a, zero_b, scale_a, scale_b, scale, zero = PLANTED
    constants, nodes = [], []
    for name, size, at in (("a", scale_a, zero_a), ("b", scale_b, zero_b), ("c", scale, zero)):
        constants.append(helper.make_tensor(f"{name}_scale", TensorProto.FLOAT, [], [size]))
        constants.append(helper.make_tensor(f"{name}_zero", TensorProto.UINT8, [], [at]))

    def convert(kind, source, target, by):
        return helper.make_node(f"{kind}Linear", [source, f"{by}_scale", f"{by}_zero"], [target])

    for name in "ab":
        nodes.append(convert("Quantize", name, f"{name}8", name))
        nodes.append(convert("Dequantize", f"{name}8", f"{name}_real", name))
    nodes.append(helper.make_node("Mul", ["a_real", "b_real"], ["real"], name="product"))
    nodes += [convert("Quantize", "real", "c8", "c"), convert("Dequantize", "c8", "c", "c")]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [256, 256]) for name in "ab"]
    outputs = [helper.make_tensor_value_info("c", TensorProto.FLOAT, [256, 256])]
    graph = helper.make_graph(nodes, "product", inputs, outputs, constants)
    opset = [helper.make_opsetid("", 15)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    return file


def all_pairs(file):
    """Return the model's products of all pairs, as 8-bit integers (256, 256)."""
    import onnxruntime

    levels = np.arange(256, dtype=np.float32)
    a = np.repeat(np.float32(PLANTED[2]) * levels[:, None], 256, axis=1)
    b = np.repeat(np.float32(PLANTED[3]) * levels[None], 256, axis=0)
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    return np.rint(session.run(None, {"a": a, "b": b})[0] / scale_of(file)).astype(int)


def scale_of(file):
    [scale] = [each for each in onnx.load(file).graph.initializer if each.name == "c_scale"]
    return float(onnx.numpy_helper.to_array(scale))


def test_a_scale_moves_until_both_formulas_agree(product):
    native, generic = products(*PLANTED)
    assert (native != generic).sum() == 6
    before, scale = all_pairs(product), scale_of(product)
    np.testing.assert_array_equal(before, native)  # the formula is ONNX Runtime's own
    assert make_portable(product) == ["product"]
    assert scale_of(product) == pytest.approx(scale, rel=1e-5)
    assert scale_of(product) != scale
    np.testing.assert_array_equal(all_pairs(product), before)
    np.testing.assert_array_equal(*products(*PLANTED[:4], scale_of(product), PLANTED[5]))
    assert make_portable(product) == []


def test_the_released_model_is_portable(tmp_path):
    file = tmp_path / MODEL
    shutil.copyfile(RELEASED / MODEL, file)
    assert make_portable(file) == []
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    assert kinds.count("Mul") == 8 and "QuantizeLinear" in kinds
    open_model(file, 1)


def test_a_float_model_stays(model_folder):
    before = (model_folder / MODEL).read_bytes()
    assert make_portable(model_folder / MODEL) == []
    assert (model_folder / MODEL).read_bytes() == before
