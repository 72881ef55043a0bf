"""What pipelines on torch share. Nothing here is imported before a model loads."""
