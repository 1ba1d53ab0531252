import pytest

from scripts.report.analysis import Analysis, analyse
from scripts.report.results import Results
from tests.scripts.report.synthetic import synthetic_results


@pytest.fixture(scope="session")
def results() -> Results:
    """Sixteen configurations, two categories, four pairs, two seeds."""
    return synthetic_results()


@pytest.fixture(scope="session")
def analysis(results) -> Analysis:
    return analyse(results)
