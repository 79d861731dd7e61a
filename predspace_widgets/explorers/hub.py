"""The explorer in JupyterLab and on JupyterHub: how jupyter-server-proxy starts it, behind the login there."""

from __future__ import annotations

import os
import sys
from typing import Any


def server() -> dict[str, Any]:
    """What jupyter-server-proxy is told: it starts the command when "predspace" is opened from the launcher.

    The environment variable PREDSPACE_DATA names the datasets, as PATH names folders; without it the demo is shown.

    Returns
    -------
    dict
        See its documentation, "Server Process options".

    Examples
    --------
    >>> server()["command"][1:]
    ['-m', 'predspace_widgets', 'serve', '--port', '{port}']
    """
    data = [path for path in os.environ.get("PREDSPACE_DATA", "").split(os.pathsep) if path]
    here = "localhost:{port}"
    return {
        "command": [sys.executable, "-m", "predspace_widgets", "serve", *data, "--port", "{port}"],
        "timeout": 120,  # seconds until it must answer: a busy machine imports slowly
        # The explorer answers to its own names alone. Who asks was let in by Jupyter, whatever name that is known by.
        "request_headers_override": {"Host": here, "Origin": f"http://{here}"},
        "launcher_entry": {"title": "predspace"},
    }
