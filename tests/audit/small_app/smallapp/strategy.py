"""A strategy of our own: it halves the learning rate, and sends and receives in its own loop."""

import time

from flwr.serverapp.strategy import FedAvg, Result


class Halving(FedAvg):
    """Federated averaging with a learning rate that halves in every round."""

    def configure_train(self, server_round, arrays, config, grid):
        """The messages of a round."""
        config["lr"] = config["lr"] * (0.5 if server_round > 1 else 1.0)
        return super().configure_train(server_round, arrays, config, grid)

    def start(self, grid, initial_arrays, num_rounds=3, timeout=3600, train_config=None, **others):
        """Push messages, then pull until every client has answered."""
        result, arrays = Result(), initial_arrays
        for number in range(1, num_rounds + 1):
            waiting = list(grid.push_messages(self.configure_train(number, arrays, train_config, grid)))
            replies = []
            while len(replies) < len(waiting):
                replies += grid.pull_messages(waiting)
                time.sleep(0.01)
            replies.sort(key=lambda reply: reply.content["about"]["partition"])
            arrays, metrics = self.aggregate_train(number, replies)
            result.train_metrics_clientapp[number] = metrics
            self.aggregate_evaluate(
                number, grid.send_and_receive(self.configure_evaluate(number, arrays, train_config, grid))
            )
        result.arrays = arrays
        return result
