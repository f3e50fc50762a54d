"""Trained models as files that run anywhere, and as repositories of the Hugging Face hub."""
