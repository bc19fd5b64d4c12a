"""Dealing a scenario's images to the nodes of a deployment: one folder for each, to be carried to its machine."""

from __future__ import annotations

from pathlib import Path

from fedleak.federation.node_data import write_node_folder
from fedleak.federation.plan import Plan


def deal(plan: Plan, folder: Path) -> list[Path]:
    """Write the folder of each client's node, ``FOLDER/00000`` and so on.

    ``fedleak run`` plans the same images and keys from the same scenario, which lets it score the attacks.

    Args:
        plan: of the scenario that the nodes will run.
        folder: where the folders are written; files of an earlier deal are replaced.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = plan.public if plan.scenario.federation.client.augment else None
    folders = [folder / f"{client:05d}" for client in range(len(plan.clients))]
    for client, target in enumerate(folders):
        write_node_folder(target, plan.clients[client], key=plan.streams.client(client), public=public)
    return folders
