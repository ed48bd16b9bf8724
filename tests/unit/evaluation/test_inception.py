import pytest
import torch

from crsr_video.errors import TrainingError
from crsr_video.evaluation.inception import Inception


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript is old, as is Inception.
def test_inception_is_asked_for_features_if_it_knows_them(tmp_path) -> None:
    class Asked(torch.nn.Module):
        def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
            return x.float().mean((2, 3)) + (1 if return_features else 0)

    torch.jit.script(Asked()).save(str(tmp_path / "network.pt"))
    features = Inception(tmp_path / "network.pt")(torch.full((2, 3, 8, 8), 0.2))
    assert features.tolist() == [[52] * 3] * 2


def test_no_inception_network(tmp_path) -> None:
    path = tmp_path / "network.pt"
    path.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="TorchScript"):
        Inception(path)
