"""Loading of face encoders: the embedded world's, and insightface's for photographs, an optional library."""

import contextlib
import importlib
import io
import sys
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from metrics.faces import DETECTION_SIZES, PhotographedFaces

LIBRARIES = ("insightface", "onnxruntime")
INSTALL = "pip install 'p2p-sweep[faces]'"
LICENCE = "insightface's pretrained models are for non-commercial research only"
_MODULES = ["detection", "recognition"]
_WHERE = "metrics.networks.identity"


def is_installed() -> bool:
    """Whether the optional libraries are there; they are not imported."""
    return all(find_spec(name) is not None for name in LIBRARIES)


def load_photographed_faces(model: str, folder: Path | None, device: torch.device) -> PhotographedFaces:
    """Detector and encoder of one of insightface's packages.

    Args:
        model: the package's name, `buffalo_l`; it is fetched into ~/.insightface on first use.
        folder: where the package's .onnx files are, so that nothing is fetched; None: the library's own place.
        device: a GPU is used where onnxruntime can.

    Raises:
        FileNotFoundError: the package is neither on this machine nor to be had.
        ValueError: the libraries are not installed, or what is there is no detector with five landmarks and encoder.
    """
    if not is_installed():
        raise ValueError(
            f"{_WHERE}: insightface is not installed; {INSTALL} ({LICENCE}), or leave identity_distance out"
        )
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(f"{_WHERE}.path={folder}: the folder does not exist; give one with the .onnx files")
    package = _load_package(model, folder, device)
    found = package.models
    if set(found) != set(_MODULES) or not found["detection"].use_kps:
        raise ValueError(
            f"{_WHERE}: {folder or model} has no detector with five landmarks and encoder, as buffalo_l has"
        )
    warnings.filterwarnings("ignore", category=FutureWarning, module="insightface")  # it calls what others deprecate
    _tell_licence(model)
    return PhotographedFaces(model, found["detection"], found["recognition"], _library("app.common").Face)


def _load_package(model: str, folder: Path | None, device: torch.device) -> Any:
    name = model if folder is None else str(folder.resolve())
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the library prints what it finds
            package = _library("app").FaceAnalysis(name=name, allowed_modules=_MODULES, providers=_providers(device))
            package.prepare(ctx_id=(device.index or 0) if device.type == "cuda" else -1, det_size=DETECTION_SIZES[0])
    except AssertionError as error:  # the library's way to say that there is no detector
        raise ValueError(f"{_WHERE}: {name} has no detector; give a package such as buffalo_l") from error
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FileNotFoundError(
            f"{_WHERE}: insightface's {model} cannot be loaded ({reason}); run once on a machine with network, or set "
            f"{_WHERE}.path to a folder with its .onnx files"
        ) from error
    return package


def _library(module: str) -> Any:
    return importlib.import_module(f"insightface.{module}")


def _providers(device: torch.device) -> list[Any]:
    there = importlib.import_module("onnxruntime").get_available_providers()
    if device.type == "cuda" and "CUDAExecutionProvider" in there:
        return [("CUDAExecutionProvider", {"device_id": device.index or 0}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


@cache
def _tell_licence(model: str) -> None:
    """Once a process."""
    print(f"identity_distance by {model}: {LICENCE}", file=sys.stderr)
