def pytest_configure(config):
    config.addinivalue_line("markers", "cluster: needs a Slurm that tests/cluster/cluster.py started")
