"""The settings of gunicorn: each worker says when it serves, from when on it heeds signals."""


def post_worker_init(worker) -> None:
    """Tell it."""
    worker.log.info("worker is ready")
