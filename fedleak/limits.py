"""Upper bounds of all settings, so that a slip of the pen is refused at once and does not fill a machine.

They are far above what an experiment needs. ``tests/test_limits.py`` checks that every number of a scenario has one.
"""

from __future__ import annotations

CLIENTS = 100_000
"""Clients of a federation."""
ROUNDS = 100_000
"""Rounds of a federation; also how late, in rounds, a client may be."""
IMAGES = 100_000_000
"""Images of a data set, a batch, a partition, an injection."""
CLASSES = 100_000
"""Classes of a data set."""
EPOCHS = 100_000
"""Epochs of a training."""
ITERATIONS = 10_000_000
"""Iterations of an optimisation."""
RESTARTS = 10_000
"""Restarts, alternatives and samples of a search, each of which repeats it."""
WIDTH = 65_536
"""Channels or units of one layer."""
LAYERS = 64
"""Layers that a scenario lists one by one."""
PARAMETERS = 10_000_000_000
"""Parameters of a network, unknowns of a linear system."""
PIXELS = 4096
"""Pixels along a side of an image, and shifts by pixels."""
SEED = 2**63 - 1
"""Seeds of random generators."""
RESAMPLES = 100_000
"""Draws behind a comparison of means."""
CELLS = 10_000
"""Cells of a study: points of the matrix times seeds."""
THREADS = 4096
"""Threads of a process."""
CPUS = 100_000
"""CPUs and GPUs of a cluster."""
MEMORY_GIB = 1_000_000
"""Memory of a machine."""
SECONDS = 1_000_000
"""Waiting times, about eleven days."""
MINUTES = 1_000_000
"""Estimated costs."""
RATE = 1e30
"""Learning rates, weights of loss terms, noise and norms of updates, and other positive factors: single precision ends
at 3.4e38, and a rate that makes a training diverge is a legitimate experiment."""
DECIBEL = 1000.0
"""Peak signal-to-noise ratios."""
