"""What of the worker's environment a job may see."""

from __future__ import annotations

from pydantic import Field

from streams.settings import Settings
from workers.environment import job_environment


class ByAlias(Settings):
    datadir: str = Field(default="", validation_alias="FREQTRADE_DATADIR")


def test_python_and_locale_pass_and_nothing_else_does() -> None:
    passes = {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "LANG": "C",
        "TZ": "UTC",
        "PYTHONPATH": "x",
        "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": "/v",
    }
    stopped = {
        "REDIS_URL": "a",
        "FREQTRADE__EXCHANGE__KEY": "b",
        "AWS_SECRET_ACCESS_KEY": "c",
        "XPATH": "d",
        "PATH_SECRET": "e",
        "HOME2": "f",
        "CELERY_BROKER_URL": "g",
    }
    environment = job_environment(passes | stopped, [])
    assert passes.items() <= environment.items()
    assert not stopped.keys() & environment.keys()


def test_declared_variables_pass_whatever_their_case() -> None:
    environ = {"FREQTRADE_DATADIR": "/data", "FREQTRADE_DATADIR_SECRET": "x"}
    assert job_environment(environ, [ByAlias])["FREQTRADE_DATADIR"] == "/data"
    assert "FREQTRADE_DATADIR_SECRET" not in job_environment(environ, [ByAlias])
    assert job_environment({"freqtrade_datadir": "/data"}, [ByAlias])["freqtrade_datadir"] == "/data"


def test_number_crunchers_get_one_thread_unless_told_otherwise() -> None:
    environment = job_environment({"MKL_NUM_THREADS": "4"}, [])
    assert environment["MKL_NUM_THREADS"] == "4"
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
