"""The commands of `xai-ray`, by what they are about; `xai_ray.cli` names them all."""
