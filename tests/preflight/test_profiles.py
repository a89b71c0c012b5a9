"""The overlays for GPUs: each lies over the production recipe, and passes preflight for stage4 on cards that are
played."""

import pytest
import yaml

from pillsnap.config.load import read_config
from pillsnap.cuda import CudaDevice, CudaDriver
from pillsnap.hardware import Gpu
from pillsnap.preflight.amounts import estimate_amounts
from pillsnap.preflight.cuda import check_cuda
from pillsnap.preflight.findings import GIB
from pillsnap.preflight.gpu import check_batches, check_gpus, choose_batches, gpu_need, with_batches
from pillsnap.training.batch_size import USED
from tests.support.preflight import PRODUCTION, ends
from tests.support.workflow import PROJECT

PROFILE = PROJECT / "profiles" / "production"
OVERLAYS = sorted({path.name for path in PROFILE.glob("*.yaml")} - {"config.yaml", "pillsnap.yaml"})


@pytest.mark.parametrize(
    ("overlay", "memory", "capability", "batches"),
    [
        ("gpu_16gb.yaml", 15.6, (8, 6), {"detector": 8, "classifier": 8}),
        ("gpu_16gb.yaml", 16, (12, 0), {"detector": 8, "classifier": 8}),
        ("large_gpu.yaml", 80, (9, 0), {"detector": 32, "classifier": 32}),
        ("large_gpu.yaml", 139, (9, 0), {"detector": 64, "classifier": 64}),
    ],
    ids=["16 GB with ECC", "16 GB", "H100", "H200"],
)
def test_overlay_passes_preflight_for_stage4(
    monkeypatch: pytest.MonkeyPatch,
    overlay: str,
    memory: float,
    capability: tuple[int, int],
    batches: dict[str, int],
) -> None:
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_75", "sm_80", "sm_86", "sm_90", "sm_120"])
    config = read_config(PROJECT / "config.yaml", PROFILE / "pillsnap.yaml", PROFILE / overlay)
    size = int(memory * GIB)
    driver = CudaDriver((13, 0), (CudaDevice("Test card", "a", capability, size),))
    choices = choose_batches(driver, estimate_amounts(config, "stage4"), config)
    fitted = with_batches(config, choices)
    assert {part: getattr(fitted, part).batch for part in batches} == batches
    assert gpu_need(fitted) <= USED * size
    card = Gpu("Test card", size, int(0.95 * size), (), "a")
    findings = [*check_gpus([card], driver, fitted), *check_cuda([card], driver, fitted), *check_batches(choices)]
    assert [(found.what, ends(found)) for found in findings] == [
        (what, "ok") for what in ("GPU", "CUDA", *(f"{part}.batch" for part in choices))
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_changes_what_it_names_and_is_documented(overlay: str) -> None:
    """Sections and keys that the recipe has, each with another value; what differs else would be a slip."""
    named = yaml.safe_load((PROFILE / overlay).read_text(encoding="utf-8"))
    changed = read_config(PROJECT / "config.yaml", PROFILE / "pillsnap.yaml", PROFILE / overlay).model_dump()
    recipe = PRODUCTION.model_dump()
    differing = {
        (part, key)
        for part in ("detector", "classifier")
        for key in recipe[part]
        if recipe[part][key] != changed[part][key]
    }
    keys = {(part, key) for part, values in named.items() for key in values}
    assert differing <= keys and keys - differing <= {(part, "reference_batch") for part in named}
    assert {part: value for part, value in changed.items() if part not in named} == {
        part: value for part, value in recipe.items() if part not in named
    }
    assert f"profiles/production/{overlay}" in (PROJECT / "docs" / "training.md").read_text(encoding="utf-8")
