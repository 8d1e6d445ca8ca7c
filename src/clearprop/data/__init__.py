"""Data: a source becomes a table, the table parts, the parts arrays or rows on disk that a network takes.

Open to other folders: `array_checks`, `array_labels`, `columns`, `encoded_rows`, `encodings`, `folds`, `image_shape`,
`joint_target`, `kinds.time_encoding`, `kinds.time_forms`, `kinds.word_encodings`, `parts`, `preprocessing`,
`provenance`, `readers.formats`, `readers.frame_kinds`, `readers.reading`, `readers.sources`, `readers.whole_arrays`,
`running_text`, `streaming.disk_rows`, `streaming.encoded_source`, `streaming.sharers`, `table`, `target_transforms`,
`training_data`.
"""
