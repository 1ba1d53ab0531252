from types import SimpleNamespace

import numpy as np
import torch

from p2p.inversion import encode_pictures, invert
from p2p.loading import load_models
from p2p.plan import plan_streams
from p2p.prompts import tokenize
from p2p.sampling import decode_latents, denoise, embed_streams, make_scheduler, prepare_latents
from p2p.streams import Stream
from p2p.world.captions import caption
from p2p.world.scenes import render, sample_scene
from sweeps.config import WORLD_PATH


def test_where_the_noise_prediction_does_not_depend_on_the_latents_inversion_is_exact(models, tokenizer, monkeypatch):
    prediction = prepare_latents(models, 1, 64, 64)
    monkeypatch.setattr(models.unet, "forward", lambda *args, **kwargs: SimpleNamespace(sample=prediction))
    prompt = tokenize(tokenizer, "a cat")
    embeds, negative = embed_streams(models, [prompt], "")
    latents = prepare_latents(models, 0, 64, 64)
    noise = invert(models, latents, embeds, 10)
    scheduler = make_scheduler(models, "ddim", 10)
    drawn = denoise(models, scheduler, plan_streams([Stream(prompt)], 10), embeds, negative, noise, 1.0).latents
    torch.testing.assert_close(drawn, latents, rtol=0, atol=1e-6)
    assert float((noise - latents).abs().max()) > 0.1


def test_the_world_s_pictures_come_back_from_their_inversion():
    """At guidance 1 and 50 steps, at least 35 dB against what the autoencoder alone makes of them."""
    models = load_models(WORLD_PATH, device="cpu", blend_resolution=16)
    rng = np.random.default_rng(5)
    for category in ("faces", "transportation"):
        scene = sample_scene(category, rng)
        prompt = tokenize(models.tokenizer, caption(scene, rng))
        embeds, negative = embed_streams(models, [prompt], "")
        latents = encode_pictures(models, torch.from_numpy(render(scene)).permute(2, 0, 1)[None])
        noise = invert(models, latents, embeds, 50)
        scheduler = make_scheduler(models, "ddim", 50)
        drawn = denoise(models, scheduler, plan_streams([Stream(prompt)], 50), embeds, negative, noise, 1.0).latents
        pictures = decode_latents(models, torch.cat([latents, drawn])).float() / 255
        assert float(-10 * (pictures[0] - pictures[1]).square().mean().log10()) >= 35


def test_inversion_counts_one_sample_a_step(models, tokenizer):
    embeds, _ = embed_streams(models, [tokenize(tokenizer, "a cat")], "")
    counted = []
    invert(models, prepare_latents(models, 0, 64, 64), embeds, 5, progress=counted.append)
    assert counted == [1] * 5


def test_an_inverted_picture_s_bits_do_not_depend_on_the_others(tiny_pipeline):
    models = load_models(str(tiny_pipeline), device="cpu")
    prompts = [tokenize(models.tokenizer, f"a {animal}") for animal in ("cat", "dog", "cat", "cat", "dog")]
    embeds, _ = embed_streams(models, prompts, "")
    latents = torch.cat([prepare_latents(models, seed, 64, 64) for seed in range(5)])
    counted = []
    together = invert(models, latents, embeds, 3, 4, counted.append)
    assert counted == [4] * 3 + [1] * 3
    for place in range(5):
        assert torch.equal(invert(models, latents[[place]], embeds.rows([place]), 3, 4)[0], together[place])


def test_pictures_are_encoded_to_the_posterior_s_mean(models):
    pictures = torch.arange(2 * 3 * 64 * 64).view(2, 3, 64, 64).to(torch.uint8)
    latents = encode_pictures(models, pictures)
    image = pictures[:1].double() / 255 * 2 - 1
    expected = models.vae.encode(image).latent_dist.mode() * models.vae.config.scaling_factor
    torch.testing.assert_close(latents[:1], expected, rtol=0, atol=1e-12)
    assert decode_latents(models, latents).shape == pictures.shape
