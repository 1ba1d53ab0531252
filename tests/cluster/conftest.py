import pytest

from sweeps.slurm import cancel
from tests.cluster.program import Sweep


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, tiny_pipeline):
    """The sweep as one process draws it."""
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed"), tiny_pipeline)
    status, _, err = sweep.run("launcher=process")
    assert status == 0, err
    return sweep


@pytest.fixture
def sweep(tmp_path, tiny_pipeline):
    """The sweep before anything of it is drawn; its jobs end with the test."""
    sweep = Sweep(tmp_path, tiny_pipeline)
    yield sweep
    cancel(sweep.jobs)
