"""The fast tests: a part that touches every folder of the source, run with every Python beside the one tested wholly.

Chosen to meet what differs between versions of Python and of dependencies: syntax trees and source text of compiled
functions, call stacks in messages, dataclasses, pickling, warnings, files.
"""

FAST = {
    "errors": ["shapes/test_messages"],
    "late_faces": ["test_public_names"],
    "shapes": ["shapes/test_sizes"],
    "notation": ["notation/test_printing"],
    "program": ["program/test_program"],
    "primitives": ["primitives/test_shapes", "primitives/test_special_values"],
    "rules": ["primitives/test_eager", "primitives/test_random"],
    "autodiff": ["autodiff/test_transforms", "autodiff/test_ten_functions", "autodiff/test_custom"],
    "files": ["train/test_run_folder"],
    "data": ["data/test_tables", "data/test_preprocessing", "data/test_csv_messages"],
    "arrays": ["arrays/test_tensor", "arrays/test_backward", "arrays/test_numpy_protocol"],
    "control": ["control/test_scan"],
    "compiler": ["compiler/test_compile", "compiler/test_compile_messages", "compiler/test_cache"],
    "nn": ["nn/test_modules", "nn/test_layers", "nn/test_messages"],
    "optim": ["optim/test_links", "optim/test_learner", "optim/test_messages"],
    "charts": ["reporting/test_charts"],
    "runs": ["train/test_tensorboard"],
    "distributed": ["distributed/test_sums"],
    "attribution": ["attribution/test_attribution"],
    "train": ["train/test_fit", "train/test_fit_messages", "train/test_resume"],
    "explanation": ["explanation/test_neuron", "explanation/test_entries", "explanation/test_json"],
    "search": ["search/test_space"],
    "comparison": ["train/test_judging"],
    "exporting": ["exporting/test_python_file"],
    "interop": ["interop/test_onnx_loading", "interop/test_torch_modules"],
    "sklearn": ["sklearn/test_mlp"],
    "lessons": ["lessons/test_lessons"],
    "reporting": ["reporting/test_comparison"],
    "cli": ["cli/test_mistakes"],
}
"""For every folder of the source, test modules that use it."""

MODULES = {f"{name}.py" for names in FAST.values() for name in names}
