"""The process of the attacks: a fresh interpreter that has opened neither the clients' data nor their images.

It is given a folder with the transcript and earlier reconstructions, and a connection; see ``isolated``.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch

from fedleak.errors import FedleakError
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.job import AttackJob
from fedleak.stages.attack.messages import Channel, receive
from fedleak.stages.attack.session import attack

INTERRUPTED = 130
ORPHANED = 131


def main(control: int, watch: int) -> NoReturn:
    """Run the job that comes over ``control``; end when ``watch`` closes, because fedleak has ended.

    Args:
        control: file descriptor of the connection.
        watch: file descriptor of a pipe to which nobody writes.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with, args=(watch, Path.cwd()), daemon=True).start()
    connection: Connection[Any, Any] = Connection(control)
    told, channel = receive(connection), Channel(connection)
    torch.set_num_threads(told["torch_threads"])
    job = AttackJob.from_message(told["job"])
    try:
        attack(job, RunDirectory(Path.cwd()), channel, host=channel, verify=False)
    except FedleakError as error:
        channel.fail(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    channel.send(kind="done")
    sys.exit()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _end_with(watch: int, folder: Path) -> None:
    os.read(watch, 1)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(ORPHANED)
