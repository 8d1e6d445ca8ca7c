"""Files: written whole or not at all, and read with suspicion.

Open to other folders: `atomic`, `folder_lock`, `onnx_package`, `presence`, `spreadsheet`, `strict_json`, `tree_arrays`.
"""
