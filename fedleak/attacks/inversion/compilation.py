"""``torch.compile`` with a fallback to eager execution."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


class Compiled(Generic[P, R]):
    """A function that is compiled for every new shape; if compilation fails, it warns and stays eager.

    Args:
        function: pure, on tensors and nested structures of them.
        device: where it will run. On a CPU the kernels are also called from C++, because Python overhead exceeds the
            run time of small kernels.
    """

    def __init__(self, function: Callable[P, R], device: torch.device) -> None:
        self._eager = function
        options: dict[str, Any] = {"cpp_wrapper": device.type == "cpu"}
        self._compiled: Callable[P, R] | None = torch.compile(function, dynamic=False, options=options)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, compiled if possible."""
        if self._compiled is None:
            return self._eager(*args, **kwargs)
        try:
            return self._compiled(*args, **kwargs)
        except Exception as error:
            if not _comes_from_compiling(error):
                raise
            reason = str(error).strip().splitlines()[0]
            warnings.warn(f"inversion runs without compilation: {reason}", RuntimeWarning, stacklevel=2)
            self._compiled = None
            return self._eager(*args, **kwargs)


def _comes_from_compiling(error: Exception) -> bool:
    from torch._dynamo.exc import TorchDynamoException  # slow; already imported after compiling

    return isinstance(error, TorchDynamoException)
