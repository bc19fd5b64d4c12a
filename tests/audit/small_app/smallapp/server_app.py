"""The server."""

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp import Grid, ServerApp

from smallapp.strategy import Halving
from smallapp.task import Net

app = ServerApp()


@app.main()
def main(grid: Grid, context):
    """Run the strategy, and save the last model."""
    torch.manual_seed(7)
    config = context.run_config
    train_config = ConfigRecord(
        {"lr": config["learning-rate"], "local-epochs": config["local-epochs"], "batch-size": config["batch-size"]}
    )
    result = Halving(min_available_nodes=2).start(
        grid, ArrayRecord(Net().state_dict()), num_rounds=config["num-server-rounds"], train_config=train_config
    )
    np.savez(config["out"], *result.arrays.to_numpy_ndarrays())
