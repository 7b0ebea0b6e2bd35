"""A cluster of Ray on this machine: a head without cores and two nodes with one each, one of which is lost on request.

    python tests/support/ray_nodes.py

Prints the address; reads the process number of a node's raylet and loses that node; ends with its standard input.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    """Begin the cluster and do what standard input says."""
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = {cluster.add_node(num_cpus=1) for _ in range(2)}
        cluster.wait_for_nodes()
        print(f"address {cluster.address}", flush=True)
        for line in sys.stdin:
            (lost,) = (node for node in nodes if raylet(node) == int(line))
            cluster.remove_node(lost, allow_graceful=False)
            print("lost", flush=True)
    finally:
        cluster.shutdown()


def raylet(node) -> int:
    """Process number of what makes a node of this machine."""
    return node.all_processes["raylet"][0].process.pid


if __name__ == "__main__":
    main()
