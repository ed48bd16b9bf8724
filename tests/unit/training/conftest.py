import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Teams of threads on shared cores wait for each other far longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
