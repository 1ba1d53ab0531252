"""A package of face models of insightface's interface: SCRFD's outputs and ArcFace's input, tiny and random."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
ANCHORS = 2
REACH = 24.0
"""Half the side of the boxes, in pixels of the picture that the detector sees."""


def save_package(folder: Path, seed: int = 0) -> Path:
    """det.onnx and rec.onnx in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    onnx.save(_detector(rng), folder / "det.onnx")
    onnx.save(_encoder(rng), folder / "rec.onnx")
    return folder


def _detector(rng: np.random.Generator) -> onnx.ModelProto:
    """Sees a face wherever a square of 8, 16 or 32 pixels is bright; landmarks move with its colours."""
    nodes, weights, outputs = [], [], {}
    for stride in STRIDES:
        pool = {"kernel_shape": [stride] * 2, "strides": [stride] * 2}
        nodes.append(helper.make_node("AveragePool", ["input"], [f"mean{stride}"], **pool))
        for kind, width in (("score", 1), ("box", 4), ("kps", 10)):
            weight, bias = _head(kind, stride, rng)
            name = f"{kind}{stride}"
            outputs[name] = width
            weights += [numpy_helper.from_array(weight, f"{name}.w"), numpy_helper.from_array(bias, f"{name}.b")]
            weights.append(numpy_helper.from_array(np.array([-1, width]), f"{name}.shape"))
            nodes += [
                helper.make_node("Conv", [f"mean{stride}", f"{name}.w", f"{name}.b"], [f"{name}.map"]),
                helper.make_node("Transpose", [f"{name}.map"], [f"{name}.last"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{name}.last", f"{name}.shape"], [f"{name}.rows"]),
                helper.make_node("Sigmoid" if kind == "score" else "Identity", [f"{name}.rows"], [name]),
            ]
    order = [f"{kind}{stride}" for kind in ("score", "box", "kps") for stride in STRIDES]
    heads = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"n{name}", outputs[name]]) for name in order]
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    return _model(helper.make_graph(nodes, "detector", [picture], heads, weights))


def _head(kind: str, stride: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights of a 1 x 1 convolution; pictures are in [-1, 1]."""
    number = ANCHORS * {"score": 1, "box": 4, "kps": 10}[kind]
    if kind == "score":
        weight, bias = np.full((number, 3), 6.0), np.full(number, -9.0)  # above half from a mean of 0.5
    elif kind == "box":
        weight, bias = rng.uniform(0, 0.2, (number, 3)), np.full(number, REACH / stride)
    else:
        places = np.array([[-10, -8], [10, -8], [0, 0], [-8, 10], [8, 10]]).ravel() / stride
        weight, bias = rng.normal(0, 0.1, (number, 3)), np.tile(places, ANCHORS)
    return weight.astype(np.float32)[:, :, None, None], bias.astype(np.float32)


def _encoder(rng: np.random.Generator) -> onnx.ModelProto:
    weight = rng.normal(0, 0.05, (16, 3, 16, 16)).astype(np.float32)
    project = rng.normal(0, 0.1, (16 * 49, 32)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["maps"], strides=[16, 16]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("Flatten", ["active"], ["flat"]),
        helper.make_node("MatMul", ["flat", "p"], ["embedding"]),
    ]
    face = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 112, 112])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 32])
    weights = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(project, "p")]
    return _model(helper.make_graph(nodes, "encoder", [face], [embedding], weights))


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model
