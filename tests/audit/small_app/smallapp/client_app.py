"""The clients."""

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from smallapp.task import Net, load_data
from smallapp.task import train as train_network

app = ClientApp()


@app.train()
def train(msg, context):
    """Train on the images of this partition."""
    partition, config = context.node_config["partition-id"], msg.content["config"]
    torch.manual_seed(1000 * config["server-round"] + partition)
    net = Net()
    net.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    images, labels = load_data(partition)
    loss = train_network(
        net, images, labels, epochs=config["local-epochs"], batch_size=config["batch-size"], rate=config["lr"]
    )
    metrics = {"num-examples": len(images), "train_loss": loss, "brightness": float(images.mean())}
    records = {
        "arrays": ArrayRecord(net.state_dict()),
        "metrics": MetricRecord(metrics),
        "about": ConfigRecord({"partition": partition, "key": b"bytes"}),
    }
    return Message(content=RecordDict(records), reply_to=msg)


@app.evaluate()
def evaluate(msg, context):
    """Evaluate on the images of this partition."""
    net = Net()
    net.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    images, labels = load_data(context.node_config["partition-id"])
    with torch.no_grad():
        accuracy = float((net.eval()(images).argmax(1) == labels).float().mean())
    return Message(
        content=RecordDict({"metrics": MetricRecord({"num-examples": len(images), "accuracy": accuracy})}), reply_to=msg
    )
