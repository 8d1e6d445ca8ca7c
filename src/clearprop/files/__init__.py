"""Files: written whole or not at all, and read with suspicion.

Open to other folders: `atomic`, `folder_lock`, `presence`, `spreadsheet`, `strict_json`, `tree_arrays`.
"""
