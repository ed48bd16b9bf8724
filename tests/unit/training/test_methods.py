"""Every method of training on generated batches."""

from dataclasses import replace

import pytest
import torch

from crsr_video.errors import TrainingError
from crsr_video.networks import Discriminator
from crsr_video.training import options
from crsr_video.training.draws import Draw
from crsr_video.training.losses import discriminator_terms, generator_terms
from crsr_video.training.method import Schedule, scaled_gradient
from crsr_video.training.options import METHODS
from crsr_video.training.regularisation import Joint, Paired, Unpaired
from crsr_video.training.run import Run
from tests.unit.training.frozen import frozen_networks

SCHEDULE = Schedule(peak=4e-3, warmup=1)


def tiny(name: str, **changes):
    return replace(METHODS[name], size="tiny", schedule=SCHEDULE, **changes)


def draw() -> Draw:
    generator = torch.Generator().manual_seed(7)
    artificial = torch.rand(2, 3, 16, 16, generator=generator)
    target = torch.nn.functional.interpolate(artificial, scale_factor=4, mode="bicubic")
    return Draw(
        target=target.clamp(0, 1) * 0.8 + 0.1,
        artificial=artificial,
        degraded=(artificial + 0.1).clamp(0, 1),
        genuine=torch.rand(2, 3, 16, 16, generator=generator),
        noise=torch.randn(2, 2, 16, 16, generator=generator),
        photographs=1,
        face=16,
    )


def begun(method) -> Run:
    """Return a new run whose heads are not zero, so that gradients reach all layers."""
    run = Run(method.name, method.settings(), method.specs(), seed=1)
    run.frozen |= frozen_networks()
    torch.manual_seed(2)
    for network in run.networks.values():
        for name, parameter in network.named_parameters():
            if name.startswith(("head", "tail.last")):
                torch.nn.init.normal_(parameter, std=0.02)
    return run


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_learns_what_it_sees(name: str) -> None:
    """The generators' loss falls, except for adversarial terms."""
    # The degradation GAN's adversarial term is strong enough to move pictures off their anchor.
    method = tiny(name, **({"low": 0.01} if name == "lrgan" else {}))
    run, seen = begun(method), draw()
    run.planned = 10_000
    losses = []
    for _ in range(24):
        terms = method.step(run, seen, method.schedule.rate(run.step, run.progress))
        run.finish_step(method.decay)
        losses.append(
            sum(v for k, v in terms.items() if "adversarial" not in k and "discriminator" not in k)
        )
    assert all(torch.isfinite(torch.tensor(losses)))
    assert losses[-1] < 0.99 * losses[0], losses


@pytest.mark.parametrize("name", sorted(METHODS))
def test_equal_steps_give_equal_networks(name: str) -> None:
    method = tiny(name)
    runs = [begun(method), begun(method)]
    for run in runs:
        for _ in range(2):
            method.step(run, draw(), 1e-3)
    first, second = (run.networks.state_dict() for run in runs)
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_scaled_scales_gradients_only() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    y = scaled_gradient(x, 0.25)
    y.backward()
    assert y.item() == 2.0 and x.grad is not None and x.grad.item() == 0.25


def changed_parts(method, steps: int = 1) -> set[str]:
    run = begun(method)
    before = {k: v.clone() for k, v in run.networks.state_dict().items()}
    for _ in range(steps):
        method.step(run, draw(), 1e-3)
    after = run.networks.state_dict()
    return {  # weight decay alone does not count
        k.split(".")[0] for k, v in after.items() if not torch.allclose(v, before[k], 1e-5, 1e-6)
    }


def test_footage_without_coupling_and_regularisation_leaves_the_consistifier_alone() -> None:
    alone = Joint(paired=None, unpaired=Unpaired(), characteristic=False, coupling=0.0)
    method = replace(alone, size="tiny", schedule=SCHEDULE)
    assert "consistifier" not in changed_parts(method)
    coupled = replace(method, coupling=0.5)
    assert "consistifier" in changed_parts(coupled)


def test_without_coupling_no_picture_reaches_the_consistifier() -> None:
    """Only terms at low resolution train it, also with pairs."""
    states = []
    for clean in (0.0, 5.0):
        method = tiny("joint", coupling=0.0, paired=Paired(clean=clean))
        run = begun(method)
        method.step(run, draw(), 1e-3)
        states.append(run["consistifier"].state_dict()["stem.weight"])
    assert torch.equal(*states)


def test_the_degradation_gan_sees_the_picture_of_high_resolution() -> None:
    run = begun(tiny("lrgan"))
    seen = draw()
    reverse = run["reverse"]
    other = reverse(seen.artificial, seen.noise, 1 - seen.target)
    assert (reverse(seen.artificial, seen.noise, seen.target) - other).abs().max() > 1e-4


def test_a_frozen_super_resolver_stays() -> None:
    assert "superresolver" not in changed_parts(tiny("footage", frozen=True))
    assert "superresolver" in changed_parts(tiny("footage"))


def test_only_the_pixel_loss_trains_the_fidelity_head() -> None:
    """Without coupling, the networks at texture 0 do not depend on texture."""
    alone = tiny("perceptual", coupling=0.0)
    without = replace(alone, textured_pixel=0.0, features=0.0, adversarial=0.0, chroma=0.0)
    states = []
    for method in (alone, without):
        run = begun(method)
        method.step(run, draw(), 1e-3)
        states.append(run.networks.state_dict())
    for name, value in states[0].items():
        if name.startswith(("consistifier", "superresolver")) and ".tail." not in name:
            assert torch.equal(value, states[1][name]), name
    assert not torch.equal(*(s["superresolver.tail.last.weight"] for s in states))


def test_without_a_weight_of_its_own_the_fidelity_head_learns_texture_too() -> None:
    method = tiny("perceptual", fidelity=0.0, textured_pixel=0.0, toward=0.0, chroma=0.0)
    run = begun(method)
    before = run["superresolver"].head.weight.clone()
    assert method.step(run, draw(), 1e-3)["fidelity"] == 0
    assert not torch.equal(run["superresolver"].head.weight, before)


def test_frozen_perceptual_training_changes_only_the_texture_head() -> None:
    run = begun(tiny("perceptual", frozen=True))
    before = {name: value.clone() for name, value in run.networks.state_dict().items()}
    tiny("perceptual", frozen=True).step(run, draw(), 1e-3)
    after = run.networks.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    generators = {name for name in changed if not name.startswith("discriminator")}
    assert "superresolver.tail.last.weight" in generators
    assert all(name.startswith("superresolver.tail.") for name in generators)


def test_the_terms_of_the_texture_reach_the_trunk_by_their_coupling() -> None:
    states = []
    for coupling in (0.0, 1.0):
        method = tiny("perceptual", coupling=coupling)
        run = begun(method)
        method.step(run, draw(), 1e-3)
        states.append(run.networks.state_dict()["superresolver.stem.weight"])
    assert not torch.equal(*states)


def test_identity_counts_for_whole_faces_that_can_be_recognised() -> None:
    method = tiny("perceptual")
    run = begun(method)
    run.planned = 100
    seen = draw()
    large = {
        name: torch.nn.functional.interpolate(getattr(seen, name), scale_factor=4)
        for name in ("target", "artificial", "degraded")
    }
    large["degraded"] = (large["artificial"] + 0.03).clamp(0, 1)
    whole = replace(seen, face=64, **large)
    assert method.step(run, whole, 1e-3)["identity"] > 0
    assert method.step(run, replace(whole, face=128), 1e-3)["identity"] == 0
    assert method.step(run, seen, 1e-3)["identity"] == 0
    hopeless = replace(whole, degraded=1 - whole.degraded)
    none_clean = replace(method, clean_share=0.0)
    assert none_clean.step(run, hopeless, 1e-3)["identity"] == 0


def test_without_photographs_the_discriminator_learns_nothing() -> None:
    method = tiny("perceptual")
    run = begun(method)
    before = {k: v.clone() for k, v in run["discriminator_texture"].named_parameters()}
    assert "discriminator" not in method.step(run, replace(draw(), photographs=0), 1e-3)
    assert all(
        torch.equal(v, before[k]) for k, v in run["discriminator_texture"].named_parameters()
    )
    assert "discriminator" in method.step(run, draw(), 1e-3)


def test_the_baseline_of_two_phases_learns_to_degrade_first() -> None:
    method = tiny("lrgan")
    run = begun(method)
    first = set(method.step(run, draw(), 1e-3))
    run.progress = 0.5
    second = set(method.step(run, draw(), 1e-3))
    assert "anchor" in first and "pixel" not in first
    assert "pixel" in second and "anchor" not in second


def test_terms_of_both_sides_pull_apart() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(channels=4, halvings=1)
    real, made = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16, requires_grad=True)
    terms = generator_terms("picture", discriminator, made, weight=1.0)
    terms["picture_adversarial"].backward()
    assert made.grad is not None and made.grad.abs().max() > 0
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())
    made.grad = None
    discriminator_terms("picture", discriminator, real, made)["picture_discriminator"].backward()
    assert made.grad is None
    assert all(p.grad is not None for p in discriminator.parameters())


def test_options_change_numbers_and_switches() -> None:
    method = options.method(
        "both",
        "tiny",
        ["16:16:4:1"],
        ["unpaired.toward=2", "characteristic=no", "schedule.warmup=5"],
    )
    assert isinstance(method, Joint) and method.unpaired is not None
    assert method.unpaired.toward == 2.0 and method.characteristic is False
    assert method.schedule.warmup == 5 and method.tiers[0].batch == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("nothing=1", "no setting 'nothing'"),
        ("clip", "no setting 'clip'"),
        ("clip=many", "clip is a number"),
        ("frozen=1", "frozen is yes or no"),
        ("schedule=1", "schedule is no number"),
        ("size=fast", "size is no number"),
    ],
)
def test_options_that_make_no_sense_are_refused(change: str, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        options.method("joint", "tiny", [], [change])


@pytest.mark.parametrize("text", ["64", "64:64:8", "a:b:c:d", "16:32:4:1", "16:16:0:1"])
def test_tiers_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="FACE:PATCH:BATCH:SHARE"):
        options.tier(text)


def test_sizes_are_known() -> None:
    with pytest.raises(TrainingError, match="unknown size 'huge'"):
        options.method("sr", "huge", [], [])
