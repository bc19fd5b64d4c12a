"""Benchmark of post-processing steps that need no batch, and of encoding their output, on one core."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fedleak.bench.base import Measured, one_core, stopwatch
from fedleak.client.postprocess.base import PostProcess
from fedleak.client.postprocess.elementwise_clipping import ElementwiseClipping
from fedleak.client.postprocess.encoding.update import decode_update, encode_update
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.gradient_masking import GradientMasking
from fedleak.client.postprocess.l2_clipping import L2Clipping
from fedleak.client.postprocess.laplacian_noise import LaplacianNoise
from fedleak.client.postprocess.magnitude_pruning import MagnitudePruning
from fedleak.client.postprocess.qsgd import Qsgd
from fedleak.client.postprocess.random_k import RandomK
from fedleak.client.postprocess.sign_sgd import SignSgd
from fedleak.client.postprocess.top_k import TopK
from fedleak.client.postprocess.uniform_quantisation import UniformQuantisation
from fedleak.progress import Progress

VALUES = 10_000_000
TENSORS = 10
REPEATS = 3
SHARE = 0.01
STEPS: dict[str, PostProcess] = {
    "qsgd_1": Qsgd(bits=1),
    "qsgd_4": Qsgd(bits=4),
    "qsgd_8": Qsgd(bits=8),
    "uniform_8": UniformQuantisation(bits=8),
    "sign": SignSgd(),
    "top_k": TopK(share=SHARE),
    "top_k_global": TopK(share=SHARE, scope="global"),
    "random_k": RandomK(share=SHARE),
    "pruning": MagnitudePruning(rate=0.9),
    "masking": GradientMasking(layers=("0", "1")),
    "clip_values": ElementwiseClipping(bound=0.5),
    "clip_norm": L2Clipping(max_norm=1.0),
    "gaussian": GaussianNoise(std=0.1, relative_to="tensor"),
    "laplacian": LaplacianNoise(std=0.1, relative_to="tensor"),
}


def measure(progress: Progress, *, values: int = VALUES, repeats: int = REPEATS) -> Measured:
    """For each step: million values per second, also for encoding and decoding, and bits per value.

    ``top_k_over_torch`` is the time of ``top_k`` relative to ``torch.topk`` on the magnitudes of the same tensors. The
    update has ten normally distributed tensors; the best of ``repeats`` runs counts.
    """
    draws = torch.Generator().manual_seed(0)
    update = {str(i): torch.randn(values // TENSORS, generator=draws) for i in range(TENSORS)}
    bar = progress.task("post-processing", len(STEPS))
    measured: Measured = {"values": sum(tensor.numel() for tensor in update.values())}
    with one_core():
        for name, step in STEPS.items():
            measured |= _of_step(name, step, update, draws, repeats)
            bar.advance()
        kept = max(1, round(SHARE * values / TENSORS))
        reference = _best(lambda: [t.abs().topk(kept) for t in update.values()], repeats)
    measured["top_k_over_torch"] = measured["values"] / 1e6 / measured["top_k_mvalues_per_s"] / reference
    return measured


def _of_step(name: str, step: PostProcess, update: dict[str, Tensor], draws: torch.Generator, repeats: int) -> Measured:
    millions = sum(tensor.numel() for tensor in update.values()) / 1e6
    shared = step.apply(update, generator=draws)
    data = encode_update(shared)
    return {
        f"{name}_mvalues_per_s": millions / _best(lambda: step.apply(update, generator=draws), repeats),
        f"{name}_encode_mvalues_per_s": millions / _best(lambda: encode_update(shared), repeats),
        f"{name}_decode_mvalues_per_s": millions / _best(lambda: decode_update(data, shared), repeats),
        f"{name}_bits_per_value": 8e-6 * len(data) / millions,
    }


def _best(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        with stopwatch() as watch:
            work()
        seconds.append(watch.seconds)
    return min(seconds)
