"""Small pipelines with random weights in the architectures of Stable Diffusion 1.x, 2.x and XL."""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

WITHOUT_CHECKER = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
DDIM = {**SCHEDULE, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}


def sd1(tokenizer):
    """Stable Diffusion 1.x: three attention levels with two heads each; 64 x 64 pictures."""
    torch.manual_seed(0)
    unet = _unet(attention_head_dim=2)
    return StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text(tokenizer)),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(**DDIM),
        **WITHOUT_CHECKER,
    )


def sd2(tokenizer):
    """Stable Diffusion 2.1 at 768: heads of equal width, linear projections, v-prediction."""
    torch.manual_seed(1)
    unet = _unet(attention_head_dim=[2, 4, 4, 4], use_linear_projection=True, upcast_attention=True)
    return StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text(tokenizer, hidden_act="gelu")),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(**DDIM, prediction_type="v_prediction"),
        **WITHOUT_CHECKER,
    )


def sdxl(tokenizer):
    """Stable Diffusion XL: two text encoders, added conditions, several transformer blocks a layer."""
    torch.manual_seed(2)
    unet = _unet(
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32, 32),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
        cross_attention_dim=64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )
    return StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text(tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(_text(tokenizer, projection_dim=32)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="leading", steps_offset=1),
        force_zeros_for_empty_prompt=True,
    )


def _unet(**changes):
    settings = {
        "sample_size": 16,
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        "block_out_channels": (16, 32, 32, 32),
        "layers_per_block": 2,
        "cross_attention_dim": 32,
        "norm_num_groups": 8,
    }
    unet = UNet2DConditionModel(**{**settings, **changes})
    for name, parameter in unet.named_parameters():
        if name.endswith(("attn2.to_q.weight", "attn2.to_k.weight")):
            parameter.data *= 4  # sharper word maps than random weights have
    return unet


def _vae():
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
    )


def _text(tokenizer, **changes):
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **changes,
    )


def single_file(pipeline):
    """A pipeline's weights under the names of the original checkpoints of Stable Diffusion 1.x."""
    weights = {}
    for name, tensor in pipeline.unet.state_dict().items():
        weights[f"model.diffusion_model.{_original_unet_name(name)}"] = tensor
    for name, tensor in pipeline.vae.state_dict().items():
        is_projection = "mid_block.attentions" in name and name.endswith(".weight") and tensor.ndim == 2
        original = f"first_stage_model.{_original_vae_name(name, len(pipeline.vae.config.block_out_channels))}"
        weights[original] = tensor[:, :, None, None] if is_projection else tensor
    for name, tensor in pipeline.text_encoder.state_dict().items():
        weights[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    return {name: tensor.contiguous().clone() for name, tensor in weights.items()}


def _original_unet_name(name):
    fixed = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    for ours, original in fixed.items():
        if name.startswith(f"{ours}."):
            return name.replace(ours, original, 1)
    path = name.split(".")
    if path[0] == "mid_block":
        place = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}[".".join(path[1:3])]
        return f"middle_block.{place}.{_original_part(path[3:])}"
    block, kind, number, rest = int(path[1]), path[2], int(path[3]), path[4:]
    if path[0] == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{3 * (block + 1)}.0.op.{path[-1]}"
        return f"input_blocks.{1 + 3 * block + number}.{int(kind == 'attentions')}.{_original_part(rest)}"
    if kind == "upsamplers":
        return f"output_blocks.{3 * block + 2}.{2 if block else 1}.conv.{path[-1]}"
    return f"output_blocks.{3 * block + number}.{int(kind == 'attentions')}.{_original_part(rest)}"


def _original_part(rest):
    names = {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "time_emb_proj": "emb_layers.1",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "conv_shortcut": "skip_connection",
    }
    return ".".join([names.get(rest[0], rest[0]), *rest[1:]])


def _original_vae_name(name, levels):
    path = name.split(".")
    names = {"conv_norm_out": "norm_out", "conv_shortcut": "nin_shortcut", "group_norm": "norm"}
    names |= {"to_q": "q", "to_k": "k", "to_v": "v"}
    if len(path) > 2 and path[1] == "mid_block":
        place = {"resnets.0": "block_1", "attentions.0": "attn_1", "resnets.1": "block_2"}[".".join(path[2:4])]
        rest = ["proj_out", path[-1]] if path[4] == "to_out" else [names.get(part, part) for part in path[4:]]
        return ".".join([path[0], "mid", place, *rest])
    if len(path) > 2 and path[1] in ("down_blocks", "up_blocks"):
        block = int(path[2]) if path[1] == "down_blocks" else levels - 1 - int(path[2])
        side = path[1].removesuffix("_blocks")
        if path[3] != "resnets":
            return f"{path[0]}.{side}.{block}.{side}sample.conv.{path[-1]}"
        return ".".join([path[0], side, str(block), "block", path[4], *(names.get(part, part) for part in path[5:])])
    return ".".join(names.get(part, part) for part in path)
