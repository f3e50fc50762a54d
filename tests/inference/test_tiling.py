"""The plan of the tiles; the identity; functions that look around; a real network."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from fissura.inference.tiling import blend_tiles, cover
from fissura.models import build_model

lengths = st.integers(1, 300)
aligns = st.sampled_from([1, 4, 8, 32])
tile_units = st.integers(1, 5)
overlaps = st.floats(0, 0.95)
halos = st.integers(0, 40)


def picture(height, width, channels=3, seed=0):
    return torch.rand(height, width, channels, generator=torch.Generator().manual_seed(seed))


@given(lengths, aligns, tile_units, overlaps, halos)
def test_tiles_cover_every_pixel_and_their_shares_add_up_to_one(
    length, align, units, overlap, halo
):
    tile = align * units
    axis = cover(length, tile, overlap, align=align, halo=halo)
    shares = torch.zeros(axis.starts[-1] + axis.tile)
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        assert start % align == 0
        shares[start : start + axis.tile] += weights
    assert axis.starts[0] == 0
    assert len(shares) >= length
    torch.testing.assert_close(shares, torch.ones_like(shares))
    assert (axis.weights >= 0).all()
    if length <= tile:
        assert axis.starts == (0,)
        assert axis.tile == length
    else:
        assert axis.tile == tile
        assert len(shares) < length + align
        gaps = torch.tensor(axis.starts).diff()
        assert (gaps > 0).all()
        assert gaps.max() <= max(tile * (1 - overlap), align)


def test_outer_pixels_weigh_nothing_where_a_neighbor_takes_over():
    axis = cover(1000, 128, 0.5, halo=16)
    assert len(axis.starts) > 3
    assert not axis.weights[1:, :16].any()
    assert not axis.weights[:-1, -16:].any()
    assert axis.weights[0, :16].all()
    assert axis.weights[-1, -16:].all()


@given(lengths, lengths, aligns, tile_units, st.floats(0, 0.8), halos, st.integers(1, 7), st.data())
def test_identity_gives_back_any_image(
    height, width, align, units, overlap, halo, batch_size, data
):
    tile = align * units
    if align == 1:  # so many tiles that it would take minutes
        height, width = height % 30 + 1, width % 30 + 1
    image = picture(height, width, data.draw(st.integers(1, 3)))
    sizes = []

    def identity(tiles):
        sizes.append(tuple(tiles.shape))
        return tiles[..., 0]

    out = blend_tiles(
        image, identity, tile=tile, overlap=overlap, batch_size=batch_size, align=align, halo=halo
    )
    torch.testing.assert_close(out, image[..., 0], atol=1e-6, rtol=0)
    assert max(size[0] for size in sizes) <= batch_size
    assert len({size[1:] for size in sizes}) == 1
    assert sizes[0][1:] == (min(tile, height), min(tile, width), image.shape[2])


def test_tiles_past_the_border_repeat_its_pixels():
    seen = []

    def keep(tiles):
        seen.extend(tiles)
        return tiles[..., 0]

    image = picture(70, 100, 1)
    blend_tiles(image, keep, tile=64)
    padded = F.pad(image.permute(2, 0, 1), (0, 28, 0, 26), mode="replicate").permute(1, 2, 0)
    assert torch.equal(seen[-1], padded[32:96, 64:128])


@pytest.mark.parametrize("radius", [1, 8, 16])
def test_a_function_that_looks_around_less_than_the_halo_equals_the_whole(radius):
    image = picture(150, 210, 1)
    kernel = torch.rand(1, 1, 2 * radius + 1, 2 * radius + 1) / (2 * radius + 1) ** 2

    def blur(tiles):
        return F.conv2d(tiles.permute(0, 3, 1, 2), kernel, padding=radius)[:, 0]

    whole = blur(image[None])[0]
    tiled = blend_tiles(image, blur, tile=64, overlap=0.5, halo=16, batch_size=3)
    torch.testing.assert_close(
        tiled[:-radius, :-radius], whole[:-radius, :-radius], atol=1e-6, rtol=0
    )
    # The last tiles reach past the lower and right borders, where conv2d pads with zeros.
    assert not torch.allclose(tiled[-1], whole[-1])


def test_pooling_grids_agree_with_the_whole_image():
    image = picture(320, 416, 1)

    def pool(tiles):
        pooled = F.max_pool2d(tiles.permute(0, 3, 1, 2), 32)
        return F.interpolate(pooled, scale_factor=32)[:, 0]

    tiled = blend_tiles(image, pool, tile=128)
    torch.testing.assert_close(tiled, pool(image[None])[0], atol=1e-6, rtol=0)


@torch.no_grad()
def test_a_network_is_close_to_the_whole_away_from_borders():
    torch.manual_seed(0)
    network = build_model("crackseg", width=4).eval()
    image = picture(640, 800)

    def prob(tiles):
        return network(tiles.permute(0, 3, 1, 2))[:, 0].sigmoid()

    whole = prob(image[None])[0]
    tiled = blend_tiles(image, prob)
    inside = (slice(64, -64), slice(64, -64))
    error = (tiled - whole).abs()[inside]
    spread = whole[inside].std()
    assert error.mean() < 0.01 * spread
    assert error.max() < 0.3 * spread


def test_float32_values_from_half_precision():
    image = picture(100, 100).half()
    out = blend_tiles(image, lambda tiles: tiles[..., 0], tile=64)
    assert out.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile": 100}, "multiple of 32"),
        ({"tile": 0}, "multiple of 32"),
        ({"overlap": 1.0}, "overlap"),
        ({"overlap": -0.1}, "overlap"),
        ({"batch_size": 0}, "batch size"),
    ],
)
def test_impossible_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        blend_tiles(picture(80, 80), lambda tiles: tiles[..., 0], **options)
