import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from powerqe.algorithm.losses import LossOptions, WeightedLosses
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import validate_component

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def make(**losses: dict) -> WeightedLosses:
    options = {name: validate_component("loss", {"type": name, **spec}, LossOptions) for name, spec in losses.items()}
    return WeightedLosses(options)


def test_values_and_weighted_sum():
    result, target = torch.tensor([[0.0, 0.5]]), torch.tensor([[0.5, 0.5]])
    loss = make(MSE={"weight": 2.0}, L1={"weight": 0.5}, Charbonnier={"eps": 0.75})(result, target)
    assert loss.parts["MSE"].item() == pytest.approx(0.125)
    assert loss.parts["L1"].item() == pytest.approx(0.25)
    assert loss.parts["Charbonnier"].item() == pytest.approx((1.0 + 0.75**0.5) / 2)
    assert loss.total.item() == pytest.approx(2 * 0.125 + 0.5 * 0.25 + (1.0 + 0.75**0.5) / 2)


def test_low_precision_output_is_judged_in_float32():
    result = torch.full((1, 1, 4, 4), 0.3, dtype=torch.bfloat16)
    loss = make(MSE={})(result, torch.full((1, 1, 4, 4), 0.5))
    assert loss.total.dtype == torch.float32
    assert loss.total.item() == pytest.approx((float(result[0, 0, 0, 0]) - 0.5) ** 2, rel=1e-6)


def test_charbonnier_gradient_is_finite_where_images_agree():
    result = torch.zeros(1, 1, 2, 2, requires_grad=True)
    make(Charbonnier={})(result, torch.zeros(1, 1, 2, 2)).total.backward()
    assert torch.equal(result.grad, torch.zeros_like(result))


def pair(height: int, width: int, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth image with some noise, and the same with other noise."""
    rng = np.random.default_rng(height)
    rows, columns = np.mgrid[:height, :width]
    clean = 0.5 + 0.3 * np.sin(rows / 9 + np.arange(channels)[:, None, None]) * np.cos(columns / 7)
    return tuple(  # pyright: ignore[reportReturnType]
        torch.from_numpy(clean + rng.normal(0, strength, clean.shape)).float()[None] for strength in (0.08, 0.02)
    )


def by_scikit_image(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """SSIM of one channel, and its mean factor of contrast and structure, at the valid positions."""
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    whole = structural_similarity(x, y, full=True, **gaussian)[1]
    means = [gaussian_filter(image, 1.5, truncate=3.5) for image in (x, y)]
    luminance = (2 * means[0] * means[1] + 1e-4) / (means[0] ** 2 + means[1] ** 2 + 1e-4)
    inner = (slice(5, -5), slice(5, -5))
    return whole[inner].mean(), (whole / luminance)[inner].mean()


def halved(image: np.ndarray) -> np.ndarray:
    height, width = (side // 2 for side in image.shape)
    return image[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))


def test_ssim_is_one_minus_that_of_scikit_image():
    result, target = pair(41, 37)
    expected = np.mean([by_scikit_image(*channels)[0] for channels in zip(*arrays(result, target), strict=True)])
    assert make(SSIM={})(result, target).total.item() == pytest.approx(1 - expected, abs=2e-6)


@pytest.mark.parametrize(("scales", "height", "width"), [(5, 181, 190), (3, 45, 60), (1, 11, 30)])
def test_ms_ssim_is_the_product_of_the_scales(scales: int, height: int, width: int):
    result, target = pair(height, width)
    products = []
    for x, y in zip(*arrays(result, target), strict=True):
        product = 1.0
        for scale in range(scales):
            if scale:
                x, y = halved(x), halved(y)
            whole, structure = by_scikit_image(x, y)
            exponent = EXPONENTS[scale] / sum(EXPONENTS[:scales])
            product *= (whole if scale == scales - 1 else structure) ** exponent
        products.append(product)
    assert make(MSSSIM={"scales": scales})(result, target).total.item() == pytest.approx(
        1 - np.mean(products), abs=5e-6
    )


@pytest.mark.parametrize("part", ["complex", "amplitude"])
def test_fft_is_that_of_numpy(part: str):
    result, target = pair(15, 22)
    x, y = (np.fft.fft2(image) for image in arrays(result, target))
    difference = x - y
    expected = {
        "complex": (np.abs(difference.real).mean() + np.abs(difference.imag).mean()) / 2,
        "amplitude": np.abs(np.abs(x) - np.abs(y)).mean(),
    }[part]
    assert make(FFT={"part": part})(result, target).total.item() == pytest.approx(expected, rel=1e-5)


def test_psnr_is_the_mean_of_the_samples_in_db():
    target = torch.zeros(2, 3, 4, 4)
    result = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)])
    assert make(PSNR={})(result, target).total.item() == pytest.approx(-(20 + 40) / 2, abs=1e-3)
    assert make(PSNR={"eps": 0.01})(target, target).total.item() == pytest.approx(-20, abs=1e-4)


def test_psnr_weighs_samples_by_their_improvement():
    result = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)]).requires_grad_()
    make(PSNR={})(result, torch.zeros(2, 3, 4, 4)).total.backward()
    each = (result.grad * result).flatten(1).sum(1)
    assert each[0].item() == pytest.approx(each[1].item(), rel=1e-3)
    assert each[0].item() == pytest.approx(10 / torch.log(torch.tensor(10.0)).item(), rel=1e-3)  # 20 / ln 10, 2 samples


def arrays(*images: torch.Tensor) -> list[np.ndarray]:
    return [image[0].double().numpy() for image in images]


OF_IMAGES = [("SSIM", {}), ("MSSSIM", {"scales": 3}), ("FFT", {}), ("FFT", {"part": "amplitude"})]


@pytest.mark.parametrize(("name", "spec"), OF_IMAGES)
@pytest.mark.parametrize("kind", ["noisy", "equal", "flat", "inverse", "black"])
def test_gradients_are_finite(name: str, spec: dict, kind: str):
    noisy, target = pair(64, 50, 1)
    result = {"noisy": noisy, "equal": target, "flat": target * 0 + 0.5, "inverse": 1 - target, "black": target * 0}[
        kind
    ]
    result = result.clone().requires_grad_()
    loss = make(**{name: spec})(result, target).total
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(result.grad).all()
    assert (loss.item() == pytest.approx(0, abs=1e-5)) == (kind == "equal")


@pytest.mark.parametrize(("name", "spec"), [*OF_IMAGES, ("PSNR", {})])
def test_a_step_along_the_gradient_helps(name: str, spec: dict):
    result, target = pair(64, 50, 1)
    loss = make(**{name: spec})
    before = loss(result.requires_grad_(), target).total
    before.backward()
    assert loss(result - 0.3 * result.grad / result.grad.abs().max(), target).total < before


@pytest.mark.parametrize(("name", "spec"), [*OF_IMAGES, ("PSNR", {})])
def test_losses_of_images_take_bfloat16_and_several_exits(name: str, spec: dict):
    """bfloat16 is judged in float32; a loss of one image is what the sum over exits and samples needs."""
    result, target = pair(64, 50)
    low = result.bfloat16()
    loss = make(**{name: spec})
    assert torch.equal(loss(low, target).total, loss(low.float(), target).total)
    results, targets = torch.stack([low, low * 0.5]).repeat(1, 2, 1, 1, 1), target.repeat(2, 1, 1, 1)
    weights = torch.tensor([[1.0, 0.5], [0.25, 2.0]])
    one, half = (loss(image, target).total for image in (low, low * 0.5))
    expected = ((1.0 + 0.5) * one + (0.25 + 2.0) * half) / 2
    torch.testing.assert_close(loss.weighted(results, targets, weights).total, expected)


@pytest.mark.parametrize(
    ("name", "spec", "side", "words"),
    [("SSIM", {}, 10, "11x11"), ("MSSSIM", {}, 175, "176.*scales of this loss to 4"), ("MSSSIM", {}, 8, "176$")],
)
def test_images_that_are_too_small(name: str, spec: dict, side: int, words: str):
    loss = make(**{name: spec})
    fits, small = (torch.rand(1, 1, size, 200) for size in (side + 1 if side > 8 else 176, side))
    assert loss(fits, fits).total.item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(UserError, match=words):
        loss(small, small)
