import pytest
import torch

from astro_lightning.methods.resnet import ResNet18


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_image_form_has_torchvisions_size_and_names():
    net = ResNet18(2, 3, 2)
    assert count(net) == 11_177_538
    names = net.state_dict()
    for name in (
        "conv1.weight",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer4.1.bn2.running_var",
        "fc.bias",
    ):
        assert name in names
    assert net(torch.zeros(2, 3, 63, 63)).shape == (2, 2)


def test_spectral_form_has_the_published_size():
    net = ResNet18(1, 1, 3)
    assert 3.80e6 < count(net) < 3.90e6
    assert net(torch.zeros(2, 1, 2600)).shape == (2, 3)


def test_small_stem_keeps_the_resolution_of_the_input():
    assert ResNet18(2, 3, 2, stem="small", width=8).conv1(torch.zeros(1, 3, 30, 30)).shape[-1] == 30


def test_extra_features_change_the_logits():
    net = ResNet18(1, 2, 3, width=4, extra_features=5).eval()
    x = torch.randn(3, 2, 300)
    assert not torch.allclose(net(x, torch.zeros(3, 5)), net(x, torch.ones(3, 5)))


def test_embedding_is_what_the_last_layer_sees():
    net = ResNet18(1, 2, 3, width=4).eval()
    x = torch.randn(3, 2, 300)
    assert torch.allclose(net.fc(net.embed(x)), net(x))
    assert net.embed(x).shape == (3, net.fc.in_features)


@pytest.mark.parametrize("bad", [{"dimensions": 3}, {"stem": "none"}])
def test_unknown_forms_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ResNet18(**({"dimensions": 1, "in_channels": 1, "n_classes": 3} | bad))
