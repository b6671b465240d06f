import numpy as np
import pytest
import torch
from torch.nn import functional

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.tasks.plasticc.batching import all_bands, pair
from astro_lightning.tasks.plasticc.bert import PlasticcBert
from astro_lightning.tasks.plasticc.data import CurveBatches
from astro_lightning.tasks.plasticc.encoder import Encoder, EncoderLayer
from astro_lightning.tasks.plasticc.masking import mask_blocks, mask_tokens
from astro_lightning.tasks.plasticc.module import FinetuneModule, PretrainModule
from astro_lightning.tasks.plasticc.network import Classifier, Pretrainer
from astro_lightning.tasks.plasticc.objectives import (
    ClassificationHead,
    flux_nll,
    flux_nll_each,
    hidden_nll,
    masked_cross_entropy,
)
from astro_lightning.tasks.plasticc.packing import Packing
from astro_lightning.tasks.plasticc.simulate import simulate
from astro_lightning.tasks.plasticc.tokenizer_continuous import ContinuousTokenizer
from astro_lightning.tasks.plasticc.tokenizer_seed import MASK, N_OUTPUT_TOKENS, PAD
from astro_lightning.tasks.plasticc.transformer import PlasticcTransformer

LENGTHS = (30, 80, 5, 140)
NETWORKS = ["bert", "transformer", "transformer_wavelength", "transformer_plain"]


def build(name):
    torch.manual_seed(0)
    if name == "bert":
        return PlasticcBert(n_layers=2, n_heads=3, d_model=32, head_dim=8)
    return PlasticcTransformer(
        d_model=32, n_layers=2, n_heads=4, wavelength=name.endswith("wavelength"), rotary=not name.endswith("plain")
    )


def tokenise(name, curves, metadata=None):
    if name == "bert":
        return all_bands(curves, np.random.default_rng(0))[0]
    return ContinuousTokenizer(flux_scale=10.0)(curves, metadata or {"photoz": np.linspace(0, 1, len(curves))})


def pad_more(batch, n=13):
    longest = batch["mask"].shape[1]
    return {
        key: functional.pad(value, (*(0, 0) * (value.ndim - 2), 0, n)) if value.shape[1:2] == (longest,) else value
        for key, value in batch.items()
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_changes_nothing(make_curves, name):
    network, batch = build(name).eval(), tokenise(name, make_curves(LENGTHS))
    states, pooled = network.encode(batch)
    padded_states, padded_pooled = network.encode(pad_more(batch))
    assert torch.allclose(pooled, padded_pooled, atol=1e-5)
    real = batch["mask"]
    assert torch.allclose(states[real], padded_states[:, : real.shape[1]][real], atol=1e-5)
    noise = {
        key: torch.where(real, value, torch.ones_like(value))
        for key, value in batch.items()
        if value.shape == real.shape
    }
    assert torch.allclose(network.encode(batch | noise | {"mask": real})[1], pooled, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_objects_do_not_see_each_other(make_curves, name):
    network, batch = build(name).eval(), tokenise(name, make_curves(LENGTHS))
    order = torch.tensor([2, 0, 3, 1])
    pooled = network.embed({key: value[order] for key, value in batch.items()})
    assert torch.allclose(pooled, network.embed(batch)[order], atol=1e-5)
    alone = network.embed({key: value[2:3] for key, value in batch.items()})
    assert torch.allclose(alone, network.embed(batch)[2:3], atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_in_training_only(make_curves, name):
    network, batch = build(name), tokenise(name, make_curves(LENGTHS))
    assert not torch.equal(network.embed(batch), network.embed(batch))
    network.eval()
    assert torch.equal(network.embed(batch), network.embed(batch))


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_reaches_every_parameter(make_curves, name):
    network, batch = build(name).eval(), tokenise(name, make_curves((60, 90, 70)))
    generator = np.random.default_rng(0)
    if name == "bert":
        masked = mask_tokens(batch, generator)
        states, pooled = network.encode(masked)
        loss = masked_cross_entropy(network.reconstruct(states), masked["labels"])
    else:
        masked = mask_blocks(batch, generator)
        states, pooled = network.encode(masked)
        loss = flux_nll(network.reconstruct(states), masked["features"], masked["masked"])
    (loss + pooled.square().sum()).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_fine_tuning_leaves_only_the_reconstruction_without_gradient(make_curves, name):
    network = build(name)
    network.embed(tokenise(name, make_curves(LENGTHS))).sum().backward()
    unused = {key.split(".")[0] for key, p in network.named_parameters() if p.grad is None}
    assert unused == {"reconstruction"}


@pytest.mark.parametrize("name", NETWORKS)
def test_two_classes_are_learned_in_a_few_steps(make_curves, name):
    curves = make_curves(np.full(32, 40))
    target = torch.arange(32) % 2
    phase = np.sin(curves.mjd / (20 + 10 * (curves.owner % 2)))
    curves = curves.with_columns(flux=100 * phase + curves.flux / 20, flux_err=np.full(len(phase), 5.0))
    batch = tokenise(name, curves)
    network = build(name)
    head = ClassificationHead(32, 2)
    optimizer = torch.optim.AdamW([*network.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(300):
        loss = functional.cross_entropy(head(network.embed(batch)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.01:
            break
    network.eval()
    head.eval()
    assert (head(network.embed(batch)).argmax(dim=1) == target).float().mean() > 0.95


@pytest.mark.parametrize("norm_first", [True, False])
def test_both_residuals_are_there(norm_first):
    layer = EncoderLayer(16, 2, 8, 64, 0.0, 0.0, norm_first)
    for part in (layer.attention.out, layer.feed_forward[-1]):
        torch.nn.init.zeros_(part.weight)
        torch.nn.init.zeros_(part.bias)
    x = torch.randn(2, 5, 16)
    y = layer(x, torch.ones(2, 1, 1, 5, dtype=torch.bool))
    expected = x if norm_first else functional.layer_norm(functional.layer_norm(x, (16,)), (16,))
    assert torch.allclose(y, expected, atol=1e-4)


def test_attention_equals_torch():
    layer = EncoderLayer(16, 2, 8, 64, 0.0, 0.0, norm_first=True).eval()
    reference = torch.nn.MultiheadAttention(16, 2, batch_first=True)
    reference.load_state_dict(
        {
            "in_proj_weight": layer.attention.qkv.weight,
            "in_proj_bias": layer.attention.qkv.bias,
            "out_proj.weight": layer.attention.out.weight,
            "out_proj.bias": layer.attention.out.bias,
        }
    )
    x, mask = torch.randn(3, 7, 16), torch.arange(7) < torch.tensor([[7], [4], [1]])
    expected = reference(x, x, x, key_padding_mask=~mask)[0]
    assert torch.allclose(layer.attention(x, mask[:, None, None, :]), expected, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_start_small_and_centred(name):
    network, head = build(name), ClassificationHead(32, 14)
    for module in [*network.modules(), *head.modules()]:
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            assert abs(module.weight.mean()) < 0.01
            assert module.weight.abs().max() < 0.2


@pytest.mark.parametrize(("layers", "heads", "width"), [(4, 12, 768), (12, 12, 512), (8, 8, 512)])
def test_published_sizes_can_be_built(layers, heads, width):
    with torch.device("meta"):
        network = PlasticcBert(n_layers=layers, n_heads=heads, d_model=width)
    assert network.encoder.layers[0].attention.out.in_features == heads * 64
    assert len(network.encoder.layers) == layers


def test_decoder_is_tied_and_predicts_neither_mask_nor_padding_for_mask(make_curves):
    network = build("bert").eval()
    states, _ = network.encode(tokenise("bert", make_curves(LENGTHS)))
    before = network.reconstruct(states)
    assert before.shape == (*states.shape[:2], N_OUTPUT_TOKENS)
    with torch.no_grad():
        network.token.weight[250] += 1
    assert not torch.allclose(network.reconstruct(states)[..., 250], before[..., 250])


def test_mask_is_not_padding(make_curves):
    network, batch = build("bert").eval(), tokenise("bert", make_curves((20, 20)))
    assert MASK != PAD
    hidden = {**batch, "tokens": torch.where(batch["special"] | ~batch["mask"], batch["tokens"], MASK)}
    later = hidden | {"day": torch.where(batch["special"], batch["day"], (batch["day"] + 400) % 1200)}
    # a masked observation still tells its time
    assert not torch.allclose(network.embed(hidden), network.embed(later), atol=1e-4)


def test_segments_matter(make_curves):
    torch.manual_seed(0)
    network = PlasticcBert(n_layers=1, n_heads=2, d_model=16, head_dim=8, segments=True).eval()
    batch, _ = pair(make_curves(LENGTHS), np.random.default_rng(0))
    assert not torch.allclose(
        network.embed(batch), network.embed(batch | {"segment": torch.zeros_like(batch["segment"])})
    )


@pytest.mark.parametrize("name", NETWORKS[1:])
def test_masked_observations_show_only_time_and_band(make_curves, name):
    network, batch = build(name).eval(), tokenise(name, make_curves(LENGTHS))
    batch = mask_blocks(batch, np.random.default_rng(0))
    other = torch.where(batch["masked"][..., None], batch["features"] + 3, batch["features"])
    assert torch.equal(network.embed(batch), network.embed(batch | {"features": other}))
    shown = torch.where(batch["masked"][..., None], batch["features"], batch["features"] + 3)
    assert not torch.allclose(network.embed(batch), network.embed(batch | {"features": shown}))


@pytest.mark.parametrize("name", NETWORKS[1:])
def test_absolute_time_changes_nothing(make_curves, name):
    network, curves = build(name).eval(), make_curves(LENGTHS)
    later = curves.with_columns(mjd=curves.mjd + 2048.0)
    assert torch.equal(network.embed(tokenise(name, curves)), network.embed(tokenise(name, later)))


def test_amplitude_stays_visible(make_curves):
    network, curves = build("transformer").eval(), make_curves(LENGTHS)
    louder = curves.with_columns(flux=curves.flux * 10, flux_err=curves.flux_err * 10)
    pooled = [network.embed(tokenise("transformer", c)) for c in (curves, louder)]
    assert not torch.allclose(*pooled, atol=1e-3)


def test_metadata_counts_when_known_only(make_curves):
    network, curves = build("transformer").eval(), make_curves(LENGTHS)
    embed = {z: network.embed(tokenise("transformer", curves, {"photoz": np.full(4, z)})) for z in (0.0, 0.7, np.nan)}
    assert not torch.allclose(embed[0.0], embed[0.7], atol=1e-4)
    assert not torch.allclose(embed[0.0], embed[np.nan], atol=1e-4)
    unknown = tokenise("transformer", curves, {"photoz": np.full(4, np.nan)})
    assert torch.equal(network.embed(unknown | {"metadata": unknown["metadata"] + 5}), embed[np.nan])


def test_object_without_observations_has_a_finite_embedding(make_curves):
    assert torch.isfinite(build("transformer").eval().embed(tokenise("transformer", make_curves((0, 5))))).all()


def test_heads_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="n_heads 5"):
        PlasticcTransformer(d_model=32, n_heads=5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_without_padding_an_encoder_gives_what_its_layers_give_with_padding(norm_first):
    torch.manual_seed(0)
    encoder = Encoder(2, 16, 2, 8, 64, 0.0, 0.0, norm_first)
    x, time = torch.randn(3, 7, 16), torch.rand(3, 7, 4)
    mask = torch.arange(7) < torch.tensor([[7], [2], [4]])
    rotation = time.cos(), time.sin()
    padded = x.clone().requires_grad_()
    states = padded
    for layer in encoder.layers:
        states = layer(states, mask[:, None, None, :], rotation)
    expected = encoder.norm(states)[mask]
    (wanted,) = torch.autograd.grad(expected.square().sum(), padded)
    x.requires_grad_()
    found = encoder(x, mask, rotation)
    (gradient,) = torch.autograd.grad(found.square().sum(), x)
    torch.testing.assert_close(found[mask], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gradient, wanted, atol=1e-4, rtol=1e-4)
    assert not found[~mask].any()


def test_the_novelty_of_an_object_is_its_own_and_grows_with_what_nothing_foretells(make_curves):
    module = PretrainModule(model={}, optimizer={}, info={"classes": ["a"], "counts": [1]})
    module.network = Pretrainer(build("transformer").eval(), "infonce", "student")
    curves = make_curves(LENGTHS)
    batch = tokenise("transformer", curves)
    with torch.no_grad():
        novelty = module.novelty(batch)
        alone = module.novelty({key: value[2:3] for key, value in batch.items()})
        wild = module.novelty(tokenise("transformer", curves.with_columns(flux=curves.flux * 1e4)))
    torch.testing.assert_close(alone, novelty[2:3], atol=1e-4, rtol=1e-4)
    assert (wild > novelty).all()
    assert torch.isnan(module.novelty(tokenise("transformer", make_curves((0, 5))))).tolist() == [True, False]
    arguments = {"model": {}, "optimizer": {}, "info": {"classes": ["a", "b"], "counts": [1, 1]}}
    classifier = FinetuneModule(**arguments, novelty="student")
    classifier.network = Classifier(module.network.backbone, 2)
    with torch.no_grad():
        torch.testing.assert_close(classifier.evidence(batch)["novelty"], novelty)
    with pytest.raises(BadInput, match="novelty=poisson"):
        FinetuneModule(**arguments, novelty="poisson")


def test_a_flux_does_not_foretell_itself(make_curves):
    backbone = build("transformer").eval()
    curves = make_curves((1,) * 5)
    curves = curves.with_columns(mjd=np.full(5, 60000.0), band=np.zeros(5), flux=[-1e3, -5, 0, 5, 1e3])
    batch = tokenise("transformer", curves, {"photoz": np.full(5, 0.5)})
    with torch.no_grad():
        # Of the time and the band alone the network says the same of all five.
        states, _ = backbone.encode({**batch, "masked": torch.ones(5, 1, dtype=torch.bool)})
        prediction = backbone.reconstruct(states)[:1].expand(5, 1, 2)
        expected = flux_nll_each(prediction, batch["features"], "student")[:, 0]
        torch.testing.assert_close(hidden_nll(backbone, batch, "student"), expected)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize(("half", "close"), [(False, 1e-5), (True, 0.05)])
def test_attention_by_a_gpus_kernels_gives_what_padded_attention_gives(half, close):
    torch.manual_seed(0)
    layer = EncoderLayer(12, 2, 6, 24, 0.0, 0.0, norm_first=True)
    mask = torch.arange(9) < torch.tensor([[1], [5], [9], [3]])
    x, angle = torch.randn(4, 9, 12), torch.randn(4, 9, 3)
    found = {}
    for jagged in (False, True):
        packing, inputs = Packing(mask, jagged=jagged), x.clone().requires_grad_()
        rotation = packing.pack(angle.cos()), packing.pack(angle.sin())
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            out = layer(packing.pack(inputs), mask[:, None, None, :], rotation, packing)
        out.float().square().sum().backward()
        found[jagged] = out.detach(), inputs.grad
    for padded, packed in zip(*found.values(), strict=True):
        torch.testing.assert_close(packed, padded, atol=close, rtol=close)


def test_pairs_of_objects_are_for_pretraining():
    records = Records.from_table(simulate(n_objects=3, seed=0))
    info = {"tokenizer": {"kind": "seed", "batching": "pair"}, "classes": ["a"], "first_mjd": 0.0}
    with pytest.raises(BadInput, match="fine-tune with one_band or all_bands"):
        CurveBatches(records, info, train=False)
