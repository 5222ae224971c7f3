"""Stop a Celery worker at a moment when it has no message in hand that the broker doesn't know of.

kombu's Redis transport takes a message off its queue, and notes it as unacknowledged in a second step; a worker that is killed between the two loses the
message (celery/kombu#305), before anything of ours has seen it. It asks for the next one only after it has noted the last. So a worker that waits
in BRPOP has none in hand; and once it is stopped and CLIENT UNBLOCK has ended that wait, none can come.
"""

from __future__ import annotations

from typing import Any

import psutil
import redis

from tests.acceptance.stack import Process


def stop_with_nothing_in_hand(broker: redis.Redis, celery: Process) -> bool:
    """SIGSTOP, and True: it may be killed. Else it goes on, and False: try again a little later.

    Args:
        broker: client of the broker, which listens on TCP.
        celery: a Celery worker.
    """
    celery.pause()
    ports = {each.laddr.port for each in psutil.Process(celery.pid).net_connections("tcp4")}
    clients: Any = broker.client_list()
    waiting = [each for each in clients if "b" in each["flags"] and int(each["addr"].rpartition(":")[2]) in ports]
    if waiting and all(broker.client_unblock(int(each["id"])) for each in waiting):
        return True
    celery.resume()
    return False
