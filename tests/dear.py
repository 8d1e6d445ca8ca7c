"""Tests that take long: `make test` tries some of their cases, or none; `make verify` tries all, as strictly.

What is measured in seconds and not in milliseconds stands here: processes that are killed or race, full disks, memory,
and tables whose cases each compile a kernel or train a run.  Of such a table one case in so many is tried.  What was
long from the beginning is marked where it is (`pytest.mark.verify`, `tests.tiers.later`).
"""

from collections import Counter
from zlib import crc32

import pytest

NONE = 0
"""`make test` does without this test."""
EVERY = {
    "test_layers": {
        "test_importing_every_submodule_shadows_no_public_name": NONE,
        "test_names_may_be_asked_for_the_first_time_while_a_function_is_traced": NONE,
    },
    "test_old_versions": {"test_every_optimizer_goes_on_from_its_state": 3},
    "test_wrong_calls": {
        "test_wrong_calls_end_in_our_errors": 2,
    },
    "arrays/test_promotion": {
        "test_what_is_computed_of_small_integers_is_what_is_computed_of_wide_ones": 2,
        "test_one_table_decides_wherever_two_arrays_meet": 2,
    },
    "attribution/test_attribution": {
        "test_an_explanation_adds_up_in_the_unit_of_the_target": 4,
        "test_importance_of_a_table_is_scikit_learns_on_the_cells_of_the_file": NONE,
        "test_importance_of_arrays_is_scikit_learns": NONE,
    },
    "autodiff/test_choices": {
        "test_a_matrix_that_several_products_share_counts_once": 5,
        "test_padded_rows_that_hold_nan_are_selected_away": 3,
        "test_what_was_left_contributes_nothing_natively": 3,
    },
    "autodiff/test_chosen_nan": {"test_a_nan_that_was_chosen_has_derivative_nan": 4},
    "autodiff/test_cost_and_state": {
        "test_a_hundred_thousand_operations_by_transforms": NONE,
        "test_a_hundred_thousand_operations_in_a_program": NONE,
    },
    "autodiff/test_ten_functions": {"test_third_derivatives": 3, "test_vmap_of_the_hessian": 3},
    "benchmarks/test_benchmarks": {
        "test_a_change_is_measured_on_two_sources": NONE,
        "test_a_contender_is_measured_in_its_own_process_and_a_failure_stays_in_its_row": NONE,
        "test_a_door_and_a_call_are_measured": NONE,
    },
    "cli/test_commands": {
        "test_on_a_terminal_progress_moves_in_colour": NONE,
        "test_a_reader_that_stops_reading_is_no_fault": NONE,
        "test_a_signal_from_outside": NONE,
        "test_completion_for_the_shell": 2,
        "test_no_color_is_respected": NONE,
    },
    "cli/test_compare": {
        "test_with_a_grid_the_rates_are_drawn_and_told": NONE,
        "test_the_command_is_a_module_too": NONE,
    },
    "cli/test_fork": {"test_a_fork_made_in_python_is_resumed_on_the_command_line": 3},
    "cli/test_full_disk": {
        "test_output_may_be_refused": 3,
        "test_streams_may_be_closed_or_full": 3,
        "test_writes_of_a_command_may_be_refused": 5,
    },
    "cli/test_ranks_share_rows": {
        "test_ranks_predict_and_evaluate_as_one": 3,
    },
    "compiler/test_cache": {
        "test_kernels_for_another_processor_are_kept_apart": NONE,
        "test_numba_knows_everything_afterwards": NONE,
        "test_two_processes_that_race": NONE,
        "test_writes_that_fail_half_way": 2,
    },
    "compiler/test_dtypes": {
        "test_interpreted_kernels_give_what_eager_code_gives": 4,
        "test_the_numpy_executor_gives_what_eager_code_gives": 3,
        "test_what_eager_code_refuses_is_refused": 4,
    },
    "compiler/test_indexing": {"test_every_selection_in_value_and_gradient": 5, "test_every_slice_is_numpys": 3},
    "compiler/test_interrupts": {
        "test_children_of_forks_while_another_thread_computes": NONE,
        "test_ctrl_c_at_any_moment": 2,
    },
    "compiler/test_labels": {"test_right_labels_give_the_loss": 5, "test_wrong_labels_are_refused": 5},
    "compiler/test_long_sums": {
        "test_interpreted_sums": 4,
        "test_native_sums": 4,
        "test_infinities_and_nan_stay_what_they_are": 3,
    },
    "compiler/test_loop": {
        "test_batches_of_every_size": 3,
        "test_fork_and_spawn": NONE,
    },
    "compiler/test_mixed": {
        "test_stages_compute_what_numpy_computes": 2,
        "test_a_network_with_an_order_in_its_loss_trains_natively_around_it": NONE,
    },
    "compiler/test_products": {
        "test_on_numba": 2,
    },
    "compiler/test_random_programs": {
        "test_random_programs": 2,
        "test_a_family_on_numba": 3,
    },
    "compiler/test_row_products": {"test_a_row_does_not_depend_on_the_others": 5, "test_layouts": 3},
    "compiler/test_run_time_numbers": {
        "test_ten_trainings_share_their_kernels": NONE,
        "test_a_training_has_the_bits_that_it_has_with_its_numbers_in_the_text": NONE,
    },
    "compiler/test_special_values": {"test_on_numba": 4},
    "compiler/test_windows": {
        "test_kernels_compute_what_numpy_does": ("as many channels as a vector has",),
    },
    "control/test_branches": {"test_memory_grows_as_the_root_of_the_steps": NONE},
    "control/test_differential_equations": {"test_derivatives": 2},
    "control/test_native": {"test_a_long_loop_can_be_stopped": NONE},
    "control/test_random_loops": {"test_a_loop_is_its_steps": 4},
    "control/test_ten_programs": {"test_compiled": 4},
    "data/test_awkward_files": {
        "test_a_file_is_read_as_a_person_expects": 2,
    },
    "data/test_kinds": {
        "test_data_frames_and_predictions_give_the_same_bits": 2,
        "test_streamed_in_memory_and_both_forms_give_the_same_bits": 3,
    },
    "data/test_labels": {"test_predictions_are_labels_of_a_frame": 5},
    "data/test_memory": {
        "test_a_streamed_csv_file_keeps_to_the_limit": NONE,
        "test_memory_does_not_grow_with_the_data": NONE,
        "test_the_measurement_sees_a_table_that_is_held_in_memory": NONE,
    },
    "data/test_streamed_predictions": {"test_predictions_and_results_do_not_depend_on_blocks": 3},
    "data/test_streaming": {
        "test_explanations_of_a_step_and_of_a_row": NONE,
        "test_a_column_that_identifies_rows_is_left_out_and_takes_no_memory": ("70000",),
        "test_a_report_judges_by_some_of_the_rows": NONE,
        "test_split_statistics_and_rows_are_those_of_the_table_in_memory": 5,
        "test_the_command_line_streams_keeps_the_memory_and_goes_on": NONE,
    },
    "data/test_zones": {"test_a_column_of_both_is_refused_in_memory_and_streamed": 3},
    "distributed/test_ranks": {
        "test_processes_that_cannot_share_the_shards_are_told_once_and_nothing_is_written": NONE,
        "test_two_processes_predict_and_evaluate_with_one_voice": NONE,
    },
    "docs/test_pages": {
        "test_page_is_true": (
            "docs/fractional.md",
            "docs/images-and-sequences.md",
            "docs/large-tables.md",
            "docs/onnx.md",
            "docs/pathologies.md",
            "docs/runs.md",
            "docs/scikit-learn.md",
            "docs/sweeps.md",
        ),
    },
    "examples/test_examples": {"test_runs_is_short_and_says_what_it_is": 4, "test_images_are_read": NONE},
    "explanation/test_html": {
        "test_it_passes_the_rules_of_axe": ("closed-dark",),
    },
    "explanation/test_jacobians": {"test_opened_entries_are_those_of_forward_mode": 4},
    "explanation/test_more": {
        "test_a_deep_program_is_opened_without_recursion": NONE,
    },
    "explanation/test_paths": {
        "test_a_deep_chain_is_searched_without_recursion": NONE,
    },
    "explanation/test_pickling": {"test_a_copy_says_what_the_original_says": 5},
    "explanation/test_updates": {"test_the_parts_add_up_to_what_was_applied": 4},
    "explanation/test_wrong_calls": {
        "test_a_wrong_argument_ends_in_our_error": 2,
    },
    "exporting/test_onnx_runs": {
        "test_what_predict_refuses_is_not_a_number": 3,
        "test_amounts_come_back_from_their_logarithm": NONE,
    },
    "exporting/test_python_file": {"test_the_file_repeats_the_run": 2},
    "files/test_bombs": {"test_every_one_is_refused_in_time": NONE},
    "files/test_hostile_files": {"test_five_hundred_cases": NONE},
    "house/test_one_setting": {
        "test_python_has_it": NONE,
    },
    "interop/test_onnx_nodes": {
        "test_the_first_node_tests_of_every_operator_pass": NONE,
    },
    "interop/test_torch_weights": {"test_weights_go_there_and_back_without_a_changed_bit": 4},
    "lessons/test_lessons": {"test_leaving_early": NONE},
    "nn/test_alike": {"test_what_is_compiled_has_the_bits_of_each_row_alone": 3},
    "nn/test_peers": {"test_second_order_and_both_modes": 4},
    "optim/test_combinations": {"test_every_optimizer_runs_with_every_schedule_in_every_wrapper": 5},
    "optim/test_copies": {"test_another_process_reads_them": NONE},
    "optim/test_fractional": {"test_a_fixed_terminal_ends_beside_the_minimum": 4, "test_beta_removes_the_bias": 3},
    "optim/test_minimum_in_a_loss": {"test_a_search_in_a_program": 3},
    "optim/test_nist": {"test_standard_errors_have_the_certified_digits": 4},
    "optim/test_rules": {
        "test_every_step_follows_the_formula": 2,
    },
    "optim/test_saddles": {
        "test_newton_cg_does_not_stop_at_a_saddle": 5,
        "test_newtons_pure_iteration_is_attracted": NONE,
        "test_saddle_free_newton_leaves_stable_sets_in_fewer_evaluations_than_adam": NONE,
    },
    "optim/test_supplied": {
        "test_the_order_of_parameters_does_not_matter": 4,
        "test_traced_and_eager_agree_and_keep_the_dtype": 3,
    },
    "optim/test_tapes": {
        "test_equals_the_peer_step_for_step": 2,
    },
    "optim/test_wrong_calls": {
        "test_wrong_values_are_refused_or_used_and_never_end_in_a_bare_error": (
            "nn.resnet",
            "nn.transformer",
            "nn.lstm_classifier",
            "nn.TransformerBlock",
        ),
    },
    "primitives/test_contractions": {
        "test_contractions_are_numpys": 2,
    },
    "primitives/test_distributions": {
        "test_golden_numbers": 2,
        "test_the_derivative_of_a_mean_is_the_mean_of_the_derivatives": 2,
    },
    "primitives/test_further_distributions": {
        "test_golden_numbers": 3,
        "test_the_derivative_of_an_angle_is_the_implicit_one": 2,
    },
    "primitives/test_matrix": {
        "test_matrix": ("gammainc_slope[order 2]", "betainc_slope[orders 0 and 1]", "betainc_slope[orders 1 and 1]"),
    },
    "primitives/test_mutations": {
        "test_a_flipped_sign_is_caught": 2,
        "test_a_scaled_rule_is_caught": 2,
    },
    "primitives/test_scattering": {"test_writing_is_numpys_assignment": 5},
    "primitives/test_shapes": {
        "test_broadcasting": 3,
    },
    "primitives/test_whole_range": {"test_functions_and_derivatives": 3},
    "reporting/test_charts": {"test_any_numbers_can_be_drawn": 5},
    "reporting/test_report": {
        "test_it_passes_the_rules_of_axe": 2,
        "test_it_is_well_formed_and_loads_and_runs_nothing": ("classes", "numbers"),
    },
    "search/test_refused_and_killed": {
        "test_a_disk_that_refuses_is_one_error_and_the_folder_goes_on": 3,
        "test_killed_at_any_write_the_folder_is_not_there_or_goes_on": 3,
    },
    "search/test_rooms": {
        "test_ctrl_c_at_the_command_line_saves_and_says_how_it_goes_on": NONE,
        "test_processes_give_the_same_bits_and_what_a_killed_one_did_is_done_again": 2,
        "test_the_command_gives_the_same_files_with_workers": NONE,
    },
    "search/test_sweep": {
        "test_halving_trains_on_to_the_bits_of_a_run_that_never_stopped": NONE,
        "test_a_killed_sweep_goes_on_and_repeats_nothing": NONE,
        "test_every_search_goes_on_where_it_was_interrupted": 3,
    },
    "search/test_sweep_command": {"test_a_job_array_is_a_script_and_a_folder": NONE},
    "sklearn/test_mlp": {
        "test_a_grid_search_in_a_pipeline": NONE,
        "test_every_kind_of_target_is_that_of_scikit_learn": 6,
        "test_weights_are_those_of_scikit_learn": 3,
        "test_an_end_without_convergence_is_said": NONE,
        "test_training_goes_on_as_that_of_scikit_learn": 2,
    },
    "sklearn/test_tabular": {
        "test_a_rate_is_found_and_a_divergence_is_said": NONE,
    },
    "train/test_array_labels": {"test_predictions_are_the_labels": 4},
    "train/test_buckets": {
        "test_a_compiled_run_goes_on_and_is_replayed_with_its_bits": NONE,
        "test_steps_are_those_of_batches_filled_up_to_the_longest_of_all": 3,
    },
    "train/test_every_optimizer": {"test_every_optimizer_resumes_exactly": 6},
    "train/test_joint_targets": {
        "test_on_the_command_line": NONE,
    },
    "train/test_judging": {
        "test_where_there_is_no_difference_a_verdict_claims_one_at_most_as_often_as_it_says": NONE,
    },
    "train/test_killed": {
        "test_a_disk_that_refuses_loses_nothing_that_was_saved": 3,
        "test_five_kills": NONE,
        "test_killed_in_its_first_moments_a_run_is_not_there_or_goes_on": 4,
    },
    "train/test_known_steps": {
        "test_a_known_step_gives_the_bits_of_a_new_one": 3,
        "test_what_a_users_loss_uses_is_looked_at_in_every_training": 3,
    },
    "train/test_metrics": {
        "test_a_target_beyond_float32_is_measured_in_its_unit": 3,
    },
    "train/test_native": {"test_kernels_from_the_cache_load_where_numba_was_imported_before": NONE},
    "train/test_optimizer_table": {
        "test_every_optimizer_can_be_forked_to_every_schedule_and_to_every_other": 8,
        "test_every_optimizer_stands_the_range_test_or_says_why_not": 4,
    },
    "train/test_pairs": {"test_two_trainings_of_one_folder": NONE},
    "train/test_refused_writes": {
        "test_a_training_that_is_killed_at_any_write_is_not_there_or_goes_on": 2,
        "test_a_training_that_is_refused_anywhere_goes_on": 4,
    },
    "train/test_replay": {
        "test_twenty_random_steps": NONE,
    },
    "train/test_resume": {"test_interrupted_anywhere_and_resumed_is_undisturbed": 4},
    "train/test_target_loss": {
        "test_losses_and_weights_on_the_command_line": NONE,
        "test_a_quantile_is_what_so_many_targets_lie_below": NONE,
    },
    "train/test_thresholds": {
        "test_what_is_measured_and_predicted_is_chosen_by_the_threshold": 3,
        "test_on_the_command_line": NONE,
        "test_no_threshold_is_better_on_the_validation_rows": 2,
        "test_a_half_is_no_threshold_and_none_changes_a_weight": NONE,
    },
    "train/test_unsized": {
        "test_arrays_decide_inputs_and_outputs": 3,
    },
}
"""For every module, its tests that take long: of how many cases one is tried, or which cases are not."""


def is_later(module: str, test: str, number: int, case: str = "") -> bool:
    """Whether `make verify` alone tries a case of a test of `tests/MODULE.py`, by its number and its name.

    The first is tried, and of a longer table those that a checksum of the name chooses: counting would meet the same
    column of a table again and again.

    >>> [is_later("compiler/test_long_sums", "test_native_sums", k, case) for k, case in enumerate("abc")]
    [False, True, True]
    """
    every = EVERY.get(module, {}).get(test)
    if isinstance(every, tuple):
        return case in every
    return every is not None and (
        every == NONE or (number > 0 and (number < every or crc32(case.encode()) % every > 0))
    )


def leave_to_verify(items):
    """Mark the cases of collected tests that `make verify` alone tries; those that are marked anyway do not count."""
    cases = Counter()
    for item in items:
        if item.get_closest_marker("verify") is None and (name := getattr(item, "originalname", None)):
            module = item.nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py")
            if is_later(module, name, cases[module, name], item.nodeid.partition("[")[2].removesuffix("]")):
                item.add_marker(pytest.mark.verify)
                item.add_marker(pytest.mark.dear)
            cases[module, name] += 1
