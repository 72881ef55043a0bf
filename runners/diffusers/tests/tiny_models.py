"""Test scaffolding: real pipelines with tiny random weights, saved as the library saves a pipeline.

Sizes as in the library's own tests of version 0.42.1 (tests/pipelines), with tokenizers made here, since
those of the tests lie on a hub.

    python tests/tiny_models.py FOLDER NAME...      writes FOLDER/NAME for each name
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Callable

import diffusers
import torch
import transformers
from diffusers.pipelines.hunyuan_video import pipeline_hunyuan_video_image2video as hunyuan_of_an_image
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

TEXT_TOKENS = 300


def tokenizer(length: int = 64) -> Any:
    """One token for each byte: it takes any text."""
    special = ["<pad>", "</s>", "<unk>", "<s>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*special, *letters])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        bos_token="<s>",
        model_max_length=length,
    )


def template_tokenizer() -> Any:
    """One token for each word of HunyuanVideo's template for an image, one for each byte of anything else.

    The template is as many tokens as with the real tokenizer: the library cuts it off by their number."""
    marks = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<image>"]
    inner_split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}|[^\s\p{L}\p{N}]|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    template = hunyuan_of_an_image.DEFAULT_PROMPT_TEMPLATE["template"]
    parts = re.split("|".join(re.escape(mark) for mark in [*marks, "{}"]), template)
    words = {word for part in parts for word, _ in inner_split.pre_tokenize_str(part)}
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokens = ["<pad>", "<|begin_of_text|>", *marks, *sorted(letters), *sorted(words.difference(letters))]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    inner.pre_tokenizer = inner_split
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<|begin_of_text|>",
        additional_special_tokens=marks,
        model_max_length=1024,
    )


def t5() -> Any:
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=TEXT_TOKENS,
        d_model=32,
        d_kv=8,
        d_ff=37,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        relative_attention_num_buckets=8,
    )
    return transformers.T5EncoderModel(config).eval()


def umt5() -> Any:
    torch.manual_seed(0)
    config = transformers.UMT5Config(
        vocab_size=TEXT_TOKENS,
        d_model=32,
        d_kv=8,
        d_ff=37,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        relative_attention_num_buckets=8,
    )
    return transformers.UMT5EncoderModel(config).eval()


def unipc() -> Any:
    return diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )


def wan_transformer(channels: int, out: int | None = None) -> Any:
    torch.manual_seed(channels)
    return diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=channels,
        out_channels=channels if out is None else out,
        text_dim=32,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )


def wan_vae() -> Any:
    torch.manual_seed(0)
    return diffusers.AutoencoderKLWan(
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )


def wan_5b() -> Any:
    """Wan 2.2 TI2V-5B: text and image to video in one, its autoencoder compresses 4 x 16 x 16."""
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKLWan(
        base_dim=3,
        z_dim=48,
        in_channels=12,
        out_channels=12,
        is_residual=True,
        patch_size=2,
        latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        scale_factor_spatial=16,
        scale_factor_temporal=4,
        temperal_downsample=[False, True, True],
    )
    return diffusers.WanPipeline(
        tokenizer=tokenizer(),
        text_encoder=umt5(),
        vae=vae,
        scheduler=unipc(),
        transformer=wan_transformer(48),
        expand_timesteps=True,
    )


def wan() -> Any:
    """Wan 2.1 T2V-1.3B."""
    return diffusers.WanPipeline(
        tokenizer=tokenizer(),
        text_encoder=umt5(),
        vae=wan_vae(),
        scheduler=unipc(),
        transformer=wan_transformer(16),
    )


def wan_14b() -> Any:
    """Wan 2.2 T2V-A14B: one transformer for steps with much noise, another for those with little."""
    torch.manual_seed(1)
    second = wan_transformer(16)
    for weight in second.parameters():
        weight.data.add_(0.01)
    return diffusers.WanPipeline(
        tokenizer=tokenizer(),
        text_encoder=umt5(),
        vae=wan_vae(),
        scheduler=unipc(),
        transformer=wan_transformer(16),
        transformer_2=second,
        boundary_ratio=0.875,
    )


def wan_14b_image() -> Any:
    """Wan 2.2 I2V-A14B."""
    second = wan_transformer(36, 16)
    for weight in second.parameters():
        weight.data.add_(0.01)
    return diffusers.WanImageToVideoPipeline(
        tokenizer=tokenizer(),
        text_encoder=umt5(),
        vae=wan_vae(),
        scheduler=unipc(),
        transformer=wan_transformer(36, 16),
        transformer_2=second,
        boundary_ratio=0.875,
    )


def ltx() -> Any:
    torch.manual_seed(0)
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=1,
        caption_channels=32,
    )
    vae = diffusers.AutoencoderKLLTXVideo(
        in_channels=3,
        out_channels=3,
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, True, False),
        decoder_spatio_temporal_scaling=(True, True, True, False),
        decoder_inject_noise=(False, False, False, False, False),
        upsample_residual=(False, False, False, False),
        upsample_factor=(1, 1, 1, 1),
        timestep_conditioning=False,
        patch_size=4,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )
    return diffusers.LTXPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=t5(),
        tokenizer=tokenizer(),
        transformer=transformer,
    )


HUNYUAN_TEXT = {"intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2}


def hunyuan_transformer(channels: int = 4, **changes: Any) -> Any:
    torch.manual_seed(0)
    return diffusers.HunyuanVideoTransformer3DModel(
        in_channels=channels,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        patch_size=1,
        patch_size_t=1,
        text_embed_dim=16,
        pooled_projection_dim=8,
        rope_axes_dim=(2, 4, 4),
        **changes,
    )


def hunyuan_vae() -> Any:
    return diffusers.AutoencoderKLHunyuanVideo(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        act_fn="silu",
        norm_num_groups=4,
        scaling_factor=0.476986,
        spatial_compression_ratio=8,
        temporal_compression_ratio=4,
        mid_block_add_attention=True,
    )


def hunyuan_clip() -> Any:
    text = {
        **HUNYUAN_TEXT,
        "vocab_size": TEXT_TOKENS,
        "pad_token_id": 0,
        "bos_token_id": 3,
        "eos_token_id": 1,
    }
    return transformers.CLIPTextModel(transformers.CLIPTextConfig(hidden_size=8, **text))


def hunyuan() -> Any:
    transformer, vae = hunyuan_transformer(guidance_embeds=True), hunyuan_vae()
    text = {**HUNYUAN_TEXT, "vocab_size": TEXT_TOKENS}
    llama = transformers.LlamaConfig(hidden_size=16, pad_token_id=0, bos_token_id=3, eos_token_id=1, **text)
    return diffusers.HunyuanVideoPipeline(
        text_encoder=transformers.LlamaModel(llama),
        tokenizer=tokenizer(),
        transformer=transformer,
        vae=vae,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=hunyuan_clip(),
        tokenizer_2=tokenizer(77),
    )


def hunyuan_image(condition: str = "token_replace") -> Any:
    """With an image in place of the first latent frame (`token_replace`), or beside all (`latent_concat`)."""
    is_beside = condition == "latent_concat"
    transformer = hunyuan_transformer(
        2 * 4 + 1 if is_beside else 4, guidance_embeds=not is_beside, image_condition_type=condition
    )
    vae = hunyuan_vae()
    words = template_tokenizer()
    llama = transformers.LlamaConfig(
        hidden_size=16, pad_token_id=0, bos_token_id=1, eos_token_id=4, vocab_size=len(words), **HUNYUAN_TEXT
    )
    # As many patches of an image as the library's template says: 24 x 24.
    vision = transformers.CLIPVisionConfig(
        hidden_size=8, image_size=336, patch_size=14, projection_dim=8, **HUNYUAN_TEXT
    )
    llava = transformers.LlavaConfig(
        vision_config=vision,
        text_config=llama,
        pad_token_id=0,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return diffusers.HunyuanVideoImageToVideoPipeline(
        text_encoder=transformers.LlavaForConditionalGeneration(llava).eval(),
        tokenizer=words,
        transformer=transformer,
        vae=vae,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=hunyuan_clip(),
        tokenizer_2=tokenizer(77),
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
        ),
    )


def cogvideox(image: bool = False, dpm: bool = True) -> Any:
    torch.manual_seed(0)
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8 if image else 4,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=32,
        num_layers=1,
        sample_width=8,
        sample_height=4,
        sample_frames=9,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=226,
        use_rotary_positional_embeddings=True,
    )
    vae = diffusers.AutoencoderKLCogVideoX(
        in_channels=3,
        out_channels=3,
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    pipeline = diffusers.CogVideoXImageToVideoPipeline if image else diffusers.CogVideoXPipeline
    scheduler = diffusers.CogVideoXDPMScheduler if dpm else diffusers.CogVideoXDDIMScheduler
    return pipeline(
        tokenizer=tokenizer(), text_encoder=t5(), vae=vae, transformer=transformer, scheduler=scheduler()
    )


def mochi() -> Any:
    torch.manual_seed(0)
    transformer = diffusers.MochiTransformer3DModel(
        patch_size=2,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        in_channels=12,
        out_channels=None,
        qk_norm="rms_norm",
        text_embed_dim=32,
        time_embed_dim=4,
        activation_fn="swiglu",
        max_sequence_length=256,
    )
    # The library leaves them as they lie in memory.
    transformer.pos_frequencies.data = transformer.pos_frequencies.new_full(
        transformer.pos_frequencies.shape, 0.1
    )
    vae = diffusers.AutoencoderKLMochi(
        latent_channels=12,
        out_channels=3,
        encoder_block_out_channels=(32, 32, 32, 32),
        decoder_block_out_channels=(32, 32, 32, 32),
        layers_per_block=(1, 1, 1, 1, 1),
    )
    return diffusers.MochiPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=t5(),
        tokenizer=tokenizer(),
        transformer=transformer,
    )


def ltx_2() -> Any:
    """With a sound beside its frames."""
    torch.manual_seed(0)
    text = transformers.Gemma3TextConfig(
        vocab_size=TEXT_TOKENS,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        pad_token_id=0,
        bos_token_id=3,
        eos_token_id=1,
    )
    vision = transformers.SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
    )
    gemma = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    text_encoder = transformers.Gemma3ForConditionalGeneration(gemma)
    transformer = diffusers.LTX2VideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        audio_in_channels=4,
        audio_out_channels=4,
        audio_num_attention_heads=2,
        audio_attention_head_dim=4,
        audio_cross_attention_dim=8,
        num_layers=2,
        qk_norm="rms_norm_across_heads",
        caption_channels=32,
        rope_double_precision=False,
        rope_type="split",
    )
    connector = {
        "num_attention_heads": 4,
        "attention_head_dim": 8,
        "num_layers": 1,
        "num_learnable_registers": None,
    }
    connectors = diffusers.pipelines.ltx2.LTX2TextConnectors(
        caption_channels=32,
        text_proj_in_factor=3,
        **{f"video_connector_{name}": value for name, value in connector.items()},
        **{f"audio_connector_{name}": value for name, value in connector.items()},
        connector_rope_base_seq_len=32,
        rope_theta=10000.0,
        rope_double_precision=False,
        causal_temporal_positioning=False,
        rope_type="split",
    )
    audio_vae = diffusers.AutoencoderKLLTX2Audio(
        base_channels=4,
        output_channels=2,
        ch_mult=(1,),
        num_res_blocks=1,
        attn_resolutions=None,
        in_channels=2,
        resolution=32,
        latent_channels=2,
        norm_type="pixel",
        causality_axis="height",
        dropout=0.0,
        mid_block_add_attention=False,
        sample_rate=16000,
        mel_hop_length=160,
        is_causal=True,
        mel_bins=8,
    )
    vocoder = diffusers.pipelines.ltx2.LTX2Vocoder(
        in_channels=16,
        hidden_channels=32,
        out_channels=2,
        upsample_kernel_sizes=[4, 4],
        upsample_factors=[2, 2],
        resnet_kernel_sizes=[3],
        resnet_dilations=[[1, 3, 5]],
        leaky_relu_negative_slope=0.1,
        output_sampling_rate=16000,
    )
    return diffusers.LTX2Pipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=ltx_2_vae(),
        audio_vae=audio_vae,
        text_encoder=text_encoder.eval(),
        tokenizer=tokenizer(),
        connectors=connectors,
        transformer=transformer,
        vocoder=vocoder,
    )


def ltx_2_vae() -> Any:
    return diffusers.AutoencoderKLLTX2Video(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(8,),
        decoder_block_out_channels=(8,),
        layers_per_block=(1,),
        decoder_layers_per_block=(1, 1),
        spatio_temporal_scaling=(True,),
        decoder_spatio_temporal_scaling=(True,),
        decoder_inject_noise=(False, False),
        downsample_type=("spatial",),
        upsample_residual=(False,),
        upsample_factor=(1,),
        timestep_conditioning=False,
        patch_size=1,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )


MODELS: dict[str, Callable[[], Any]] = {
    "wan-2.2-5b": wan_5b,
    "wan-2.1-1.3b": wan,
    "wan-2.2-14b": wan_14b,
    "wan-2.2-14b-image": wan_14b_image,
    "ltx-video": ltx,
    "ltx-2": ltx_2,
    "hunyuan-video": hunyuan,
    "hunyuan-video-i2v": hunyuan_image,
    "hunyuan-video-i2v-33ch": lambda: hunyuan_image("latent_concat"),
    "cogvideox-5b": cogvideox,
    "cogvideox-ddim": lambda: cogvideox(dpm=False),
    "cogvideox-image": lambda: cogvideox(image=True),
    "mochi-1": mochi,
}


def write_model(folder: Path, name: str) -> str:
    """Writes the pipeline once, and returns its path."""
    path = folder / name
    if not (path / "model_index.json").exists():
        pipeline = MODELS[name]()
        pipeline.save_pretrained(str(path), safe_serialization=True)
    return str(path)


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        print(write_model(Path(sys.argv[1]), wanted))
