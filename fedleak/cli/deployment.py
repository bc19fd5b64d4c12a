"""The commands ``deployment keys`` and ``deployment deal``, which prepare a Flower deployment."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedleak.cli.options import BudgetOption, ScenarioFile, SeedOption, SetOption
from fedleak.cli.output import say, starting

if TYPE_CHECKING:
    from fedleak.federation.deployment.keys import KeyFolder

Folder = Annotated[Path, typer.Argument(metavar="DIR")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    commands = typer.Typer(
        name="deployment",
        help="Prepare a Flower deployment: keys and certificates, and the nodes' data.",
        no_args_is_help=True,
    )
    for command in (keys, deal):
        commands.command()(command)
    app.add_typer(commands)


def keys(
    folder: Folder,
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=10_000, help="Number of nodes, one for each client.")] = 4,
    address: Annotated[str, typer.Option("--address", help="HOST:PORT at which nodes reach the SuperLink.")] = (
        "127.0.0.1:8000"
    ),
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Further host name or address of the SuperLink; repeatable.", show_default="none"),
    ] = None,
) -> None:
    """Make keys and certificates in DIR, and print the commands that start the deployment with them.

    Keys that are there are kept, so that nodes can be added.
    """
    with starting(f"keys in {folder}", line=False):
        from fedleak.federation.deployment.keys import make_keys

        made = make_keys(folder, nodes=nodes, address=address, names=name or ())
        host, _, port = address.rpartition(":")
    on_loopback = f" --host {shlex.quote(host.strip('[]'))} --port {port}"
    link = f"flower-superlink --isolation process --enable-supernode-auth{on_loopback}"
    say(f"{link} --superexec-auth-secret-file {_shell(made.secret)} {_server_files(made)}")
    for client in range(nodes):
        public = _shell(made.node_public_key(client))
        say(f"FLWR_HOME={_shell(made.flower_home)} flwr supernode register {public} deployment")
    for client in range(nodes):
        config = f"'partition-id={client} data=\"DATA/{client:05d}\"'"
        files = (
            f"--root-certificates {_shell(made.authority)} --auth-supernode-private-key {_shell(made.node_key(client))}"
        )
        say(f"flower-supernode --superlink {address} --port {9094 + client} {files} --node-config {config}")
    engine = f"kind: deployment, address: '{address}', root_certificates: {made.authority.absolute()}"
    engine = f"federation.engine={{{engine}, superexec_secret: {made.secret.absolute()}}}"
    say(f"fedleak run SCENARIO --set {shlex.quote(engine)}")


def _server_files(made: KeyFolder) -> str:
    files = {"certfile": made.certificate, "keyfile": made.certificate_key, "ca-certfile": made.authority}
    return " ".join(f"--ssl-{option} {_shell(path)}" for option, path in files.items())


def _shell(path: Path) -> str:
    return shlex.quote(str(path.absolute()))


def deal(
    scenario: ScenarioFile,
    folder: Folder,
    set_: SetOption = None,
    budget: BudgetOption = None,
    seed: SeedOption = None,
) -> None:
    """Write the images and the key of each client of SCENARIO into a folder of DIR, for its node.

    Give the same --set, --budget and --seed as to 'fedleak run'. Whoever reads DIR knows the clients' images.
    """
    with starting(f"deal {scenario}"):
        from fedleak.cli.places import source_of
        from fedleak.federation.deployment.deal import deal as write
        from fedleak.federation.plan import make_plan
        from fedleak.scenario.file import load_scenario

        source, _ = source_of(scenario, None, option="SCENARIO")
        plan = make_plan(load_scenario(source, overrides=set_ or (), budget=budget, seed=seed))
    for client, written in enumerate(write(plan, folder)):
        say(f"{written}: {plan.held[client]} images")
