"""The command `codegenie self-check egress`: a name for egressguard's self-check and nothing else.

It is a distribution of its own because an application may own the script name `codegenie`: installing egressguard
must never overwrite that.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from egressguard import cli

__all__ = ["main"]

USAGE = "usage: codegenie self-check egress [arguments of `egressguard self-check`]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the self-check with what follows `self-check egress` and return its exit status.

    Anything else prints the usage on standard error and returns 2, as argparse does for a wrong command line.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:2] != ["self-check", "egress"]:
        print(USAGE, file=sys.stderr)
        return 2
    return cli.main(["self-check", *words[2:]])
