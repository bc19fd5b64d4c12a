"""The commented study of the usual audit: federated averaging, an honest server that reads along, three defenses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AuditPlan:
    """What an audit is about.

    Attributes:
        dataset: a kind of data set, or a folder with one folder of images for each class.
        model: a kind of model, or ``module:function`` of the user's own.
        clients, rounds: of the federation.
        batch_size, local_epochs, learning_rate: of clients' local training.
        samples: images that a client trains on in a round.
    """

    dataset: str = "digits"
    model: str = "lenet"
    clients: int = 10
    rounds: int = 5
    batch_size: int = 4
    local_epochs: int = 1
    learning_rate: float = 0.05
    samples: int = 8


TEMPLATE = """\
# An audit of federated averaging, written by 'fedleak audit init'; change what differs in your federation, then:
#   fedleak validate {file} --data     checks it
#   fedleak study {file} --budget try  a first look, in minutes
#   fedleak study {file}               the audit; 'fedleak frontier' on its directory compares the defenses
name: {name}
description: What an honest server that reads along can reconstruct from clients' updates, with and without defenses.

# Any kind of 'fedleak list dataset', or {{kind: image_folder, root: FOLDER}} with one folder for each class.
dataset: {dataset}
# Any kind of 'fedleak list model', or {{kind: factory, path: module:function}} with your own network.
model: {model}

federation:
  clients: {clients}
  rounds: {rounds}
  partition: {{kind: dirichlet, alpha: 1.0}} # labels differ among clients; iid: they do not
  client:
    protocol: fedavg # clients train locally and share how their weights changed
    samples: {samples} # images that a client trains on in a round; without it, all of its images
    batch_size: {batch_size}
    local_epochs: {local_epochs}
    local_learning_rate: {learning_rate}
    # local_sgd: {{momentum: 0.9, weight_decay: 5.0e-4}}
    # batch_norm: train_shared # if your model has batch normalisation and clients train with it, as most do

adversary: # an honest but curious server: it changes nothing, and knows what the federation's code says
  level: 3
  public_images: 200 # images of its own, on which it trains a generator
  victims: {{clients: [0, 1], rounds: [1, {rounds}]}} # an early and a late round
  label_inference: calibrated_counts # the labels behind each update, scored with every attack

attacks:
  # Knows the clients' learning rate, epochs and batch size, and replays their local steps.
  - {{kind: inverting_averaging, id: settings_known, iterations: 1000}}
  # Does not: takes the change of the weights for one gradient.
  - {{kind: inverting_gradients, id: settings_unknown, iterations: 1000}}
  # Searches among the images that a generator, trained on public images, can draw.
  - {{kind: gias, id: generator, iterations: 400, weight_iterations: 1000}}

matrix:
  defense:
    none: {{}}
    cheap: # every client shares only one value in ten
      federation.client.postprocess: [{{kind: top_k, share: 0.1}}]
    strong: # differential privacy for every image
      federation.client.dp_sgd: {{max_norm: 1.0, noise_multiplier: 1.0}}
seeds: [0]

table: {{metrics: [mse, psnr, ssim]}}
budgets:
  try:
    federation.rounds: 1
    adversary.victims: {{clients: [0], rounds: [1]}}
    attacks.settings_known.iterations: 50
    attacks.settings_unknown.iterations: 50
    attacks.generator.iterations: 50
    attacks.generator.weight_iterations: 50
    attacks.generator.training.epochs: 5
    metrics.lpips: null
"""


def render(path: Path, plan: AuditPlan) -> str:
    """The text of the study, to be written to ``path``."""
    own_images = not plan.dataset.isidentifier()  # no kind of data set, so a folder
    return TEMPLATE.format(
        file=path,
        name=json.dumps(path.stem),
        dataset=f"{{kind: image_folder, root: {json.dumps(plan.dataset)}}}" if own_images else plan.dataset,
        model=f"{{kind: factory, path: {json.dumps(plan.model)}}}" if ":" in plan.model else plan.model,
        clients=plan.clients,
        rounds=plan.rounds,
        samples=plan.samples,
        batch_size=plan.batch_size,
        local_epochs=plan.local_epochs,
        learning_rate=plan.learning_rate,
    )
