"""The outline of a network, which needs no memory for its tensors, has the shapes of the real one."""

from __future__ import annotations

import tracemalloc

import pytest

from fedleak.errors import InputError
from fedleak.families import kinds
from fedleak.stages.network import check_layout
from fedleak.transcript.layout import Layout
from tests.builders import FACTORY, small_model
from tests.scenarios import scenario
from tests.transcript.manifests import manifest

SHAPES = {"inception_v3": (3, 75, 75), "vit": (3, 32, 32), "swin": (3, 32, 32)}


@pytest.mark.parametrize("kind", kinds("model"))
def test_every_model_has_an_outline(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDLEAK_TRUSTED_FACTORIES", FACTORY)
    model = small_model(kind)
    shape = SHAPES.get(kind, (3, 32, 32))
    real = model.build(shape, 4, seed=0)
    found = manifest(
        model=model.model_dump(mode="json"),
        input_shape=shape,
        classes=4,
        class_names=tuple("abcd"),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        parameters=Layout.of(real.named_parameters()),
        buffers=tuple(name for name, _ in real.named_buffers()),
    )
    checked = scenario().model_copy(update={"model": model})
    shapes = check_layout(checked, found)
    assert shapes == {name: tuple(tensor.shape) for name, tensor in real.state_dict().items()}


def test_a_network_that_no_memory_holds_is_compared_without_it() -> None:
    checked = scenario(model={"kind": "mlp", "hidden": [4096, 4096, 4096, 4096, 4096, 4096, 4096]})
    tracemalloc.start()
    with pytest.raises(InputError, match=r"transcript.parameters.slots"):
        check_layout(checked, manifest())
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_a_network_that_cannot_be_built_for_the_images_is_refused() -> None:
    checked = scenario(model={"kind": "vgg"})
    with pytest.raises(InputError, match="cannot be built for such images"):
        check_layout(checked, manifest())


def test_more_outputs_than_values_are_refused_before_a_factory_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDLEAK_TRUSTED_FACTORIES", FACTORY)
    checked = scenario(model={"kind": "factory", "path": FACTORY})
    many = manifest(classes=11, class_names=tuple("abcdefghijk"))
    with pytest.raises(InputError, match="the updates hold only 10 values"):
        check_layout(checked, many)
