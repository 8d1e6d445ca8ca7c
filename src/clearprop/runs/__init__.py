"""Runs: what is kept of one, and how it is written and read back.

Open to other folders: `asked_settings`, `checkpoints`, `cost_text`, `environment`, `events`, `folder`,
`model_json`, `mlflow`, `setting_checks`, `settings`, `state`, `tensorboard`.
"""
