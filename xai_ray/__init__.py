"""xai_ray."""
